package quicwire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"

	"github.com/quic-go/quic-go"
)

// A Code says why a session ended. Those below CodeLost are QUIC application error codes and travel; docs/wire.md lists them.
type Code uint64

// The codes of version 1. Unknown ones are to be read as CodeDone.
const (
	CodeDone      Code = 0x00 // not needed any more
	CodeGoingAway Code = 0x01 // the node shuts down, or has said BYE
	CodeLink      Code = 0x02 // the link proof failed: another channel, or a wrong proof; nobody can tell which
	CodeMalformed Code = 0x03 // bytes that this version cannot mean
	CodeTimeout   Code = 0x04 // a proof, HELLO or message took too long
	CodeFlood     Code = 0x05 // more of something than is allowed
	CodeSlow      Code = 0x06 // what is sent to you piles up
	CodeBusy      Code = 0x07 // no session is free
	CodeDuplicate Code = 0x08 // there is another session of this pair and channel
	CodeSelf      Code = 0x09 // the node has dialled itself
	CodeBadBlock  Code = 0x0a // a payload that does not match its record, or no valid signature
	CodeNotes     Code = 0x0b // notes that do not verify
	CodeShunned   Code = 0x0c // not with you, for a while
	CodeInternal  Code = 0x0d // the sender's own fault

	CodeLost    Code = 0x100 // the connection is gone: no packets, or the peer has restarted. Never sent
	CodeTLS     Code = 0x101 // the handshake failed: a certificate, a node key that is not the pinned one. Never sent
	CodeVersion Code = 0x102 // no common version (ALPN). Never sent
)

// String returns the code as docs/wire.md names it.
func (c Code) String() string {
	switch c {
	case CodeDone:
		return "done"
	case CodeGoingAway:
		return "going away"
	case CodeLink:
		return "link"
	case CodeMalformed:
		return "malformed"
	case CodeTimeout:
		return "timeout"
	case CodeFlood:
		return "flood"
	case CodeSlow:
		return "slow"
	case CodeBusy:
		return "busy"
	case CodeDuplicate:
		return "duplicate"
	case CodeSelf:
		return "self"
	case CodeBadBlock:
		return "bad block"
	case CodeNotes:
		return "notes"
	case CodeShunned:
		return "shunned"
	case CodeInternal:
		return "internal"
	case CodeLost:
		return "lost"
	case CodeTLS:
		return "tls"
	case CodeVersion:
		return "version"
	}
	return fmt.Sprintf("code %#x", uint64(c))
}

// An Error says who ended a session, and why.
type Error struct {
	Code   Code
	Reason string // a sentence for people; from the peer if Remote, cleaned and cut to 200 bytes
	Remote bool   // the peer ended it
}

func (e *Error) Error() string {
	who := "we ended the session"
	if e.Remote {
		who = "the peer ended the session"
	}
	if e.Code >= CodeLost {
		who = "no session"
	}
	if e.Reason == "" {
		return fmt.Sprintf("%s (%v)", who, e.Code)
	}
	return fmt.Sprintf("%s (%v): %s", who, e.Code, e.Reason)
}

// Is makes errors.Is(err, &Error{Code: c}) ask for the code only.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && (*t == *e || *t == Error{Code: e.Code})
}

// maxReason is the longest reason sent or kept, in bytes.
const maxReason = 200

// cleanReason makes a stranger's words safe for a log or a terminal: no control characters, C1 included, and nothing invisible, such as
// what turns the direction of writing.
func cleanReason(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "")
	}
	return s
}

// A StreamCode says why one stream was reset while the session goes on.
type StreamCode uint64

// The stream codes of version 1. Unknown ones are to be read as StreamDone.
const (
	StreamDone        StreamCode = 0 // not needed any more
	StreamStale       StreamCode = 1 // older than the subscriber's patience, or too slow
	StreamUnsolicited StreamCode = 2 // nobody asked for it
	StreamUnknown     StreamCode = 3 // a stream type that this version does not know
	StreamBusy        StreamCode = 4 // no room
	StreamGoingAway   StreamCode = 5 // unsubscribed, moved or shutting down
)

// A StreamError says that one stream was reset. The session goes on.
type StreamError struct {
	Code   StreamCode
	Remote bool // the peer reset it
}

func (e *StreamError) Error() string {
	names := [...]string{"done", "stale", "unsolicited", "unknown type", "busy", "going away"}
	name := fmt.Sprintf("code %d", e.Code)
	if e.Code < StreamCode(len(names)) {
		name = names[e.Code]
	}
	if e.Remote {
		return "the peer reset the stream: " + name
	}
	return "we reset the stream: " + name
}

// Restarted is the Reason of a CodeLost when the peer's next process has reset the connection (RFC 9000, 10.3).
const Restarted = "the peer has restarted"

// sessionError says what the end of a QUIC connection means.
func sessionError(err error) error {
	var (
		known    *Error
		app      *quic.ApplicationError
		tr       *quic.TransportError
		idle     *quic.IdleTimeoutError
		hand     *quic.HandshakeTimeoutError
		reset    *quic.StatelessResetError
		versions *quic.VersionNegotiationError
	)
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.As(err, &app):
		return &Error{Code(app.ErrorCode), cleanReason(app.ErrorMessage), app.Remote}
	case errors.As(err, &tr):
		return transportError(tr)
	case errors.As(err, &idle):
		return &Error{Code: CodeLost, Reason: "no packets for too long"}
	case errors.As(err, &hand):
		return &Error{Code: CodeLost, Reason: "no answer; is it the right address, and does it let UDP through?"}
	case errors.As(err, &reset):
		return &Error{Code: CodeLost, Reason: Restarted, Remote: true}
	case errors.As(err, &versions):
		return &Error{Code: CodeVersion, Reason: "the peer speaks another version of QUIC"}
	}
	return err
}

// transportError says what an error of QUIC or TLS means.
func transportError(e *quic.TransportError) *Error {
	const noApplicationProtocol = 0x178 // RFC 9001, section 4.8: 0x100 + alert 120
	switch {
	case e.ErrorCode == quic.ConnectionRefused:
		return &Error{CodeBusy, "no session is free there", e.Remote}
	case e.ErrorCode == noApplicationProtocol:
		return &Error{CodeVersion, "no common version of the protocol", e.Remote}
	case e.ErrorCode.IsCryptoError():
		return &Error{CodeTLS, cleanReason(e.Error()), e.Remote}
	}
	return &Error{CodeLost, cleanReason(e.Error()), e.Remote}
}

// streamError says what an error of one stream means: a *StreamError if only the stream ended.
func (s *Session) streamError(err error) error {
	var reset *quic.StreamError
	switch {
	case errors.As(err, &reset):
		return &StreamError{StreamCode(reset.ErrorCode), reset.Remote}
	case s.Err() != nil:
		return s.Err()
	}
	return sessionError(err)
}

// isTimeout reports whether a deadline of ours passed (those of a connection that died are not deadlines).
func isTimeout(err error) bool {
	var idle *quic.IdleTimeoutError
	var ne net.Error
	if errors.As(err, &idle) {
		return false
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
