package node

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ask sends a request, and reads what is answered until the connection ends.
func ask(t *testing.T, c net.Conn, request string) (answer string, took time.Duration) {
	t.Helper()
	begun := time.Now()
	go func() { _, _ = io.WriteString(c, request) }()
	text, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(text), time.Since(begun)
}

// TestBodiesThatNobodyWants: who announces a body and does not send it is answered and ended soon, whatever he asks for, with the secret or
// without it.
func TestBodiesThatNobodyWants(t *testing.T) {
	for _, c := range []struct{ name, from, line, more, want string }{
		{"a stranger", "192.168.1.9", "GET / HTTP/1.1", "Content-Length: 100", "413"},
		{"a stranger, in chunks", "192.168.1.9", "POST / HTTP/1.1", "Transfer-Encoding: chunked", "413"},
		{"with the secret", "192.168.1.9", "GET /" + servedToken + "/ HTTP/1.1", "Content-Length: 100", "413"},
		{"this machine", "127.0.0.1", "POST /live.ts HTTP/1.1", "Content-Length: 100", "413"},
		{"an encoder without a key", "127.0.0.1", "PUT /ingest HTTP/1.1", "Transfer-Encoding: chunked", "401"},
		{"an offer without a key", "127.0.0.1", "POST /whip/radio HTTP/1.1", "Content-Length: 100", "401"},
		{"what only begins like a way in", "127.0.0.1", "POST /whipped HTTP/1.1", "Content-Length: 100", "413"},
	} {
		t.Run(c.name, func(t *testing.T) {
			serving(t, func(t *testing.T, p *pipes) {
				conn := p.dialFrom(c.from)
				defer conn.Close()
				answer, took := ask(t, conn, c.line+"\r\nHost: 127.0.0.1\r\n"+c.more+"\r\n\r\n")
				if !strings.HasPrefix(answer, "HTTP/1.1 "+c.want) || took > 5*time.Second {
					t.Errorf("after %v: %q, want %s soon", took, answer, c.want)
				}
			})
		})
	}
}

// TestEncodersMaySendForLong: a stream may take as long as it likes.
func TestEncodersMaySendForLong(t *testing.T) {
	serving(t, func(t *testing.T, p *pipes) {
		conn := p.dial()
		defer conn.Close()
		go func() {
			_, _ = io.WriteString(conn, "PUT /ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: key\r\nContent-Length: 10\r\n\r\n")
			for range 10 {
				time.Sleep(time.Minute)
				_, _ = io.WriteString(conn, "x")
			}
		}()
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(answer.Body); string(text) != "10 <nil>" {
			t.Errorf("got %q, want all ten bytes in ten minutes", text)
		}
	})
}

// TestWhoDoesNotRead is ended, and gets no more than what was under way.
func TestWhoDoesNotRead(t *testing.T) {
	serving(t, func(t *testing.T, p *pipes) {
		conn := p.dial()
		defer conn.Close()
		go func() { _, _ = io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") }()
		time.Sleep(answerTime + time.Second)
		if n, err := io.Copy(io.Discard, conn); err != nil || n >= largePage {
			t.Errorf("got %d bytes, %v, want the connection ended", n, err)
		}
	})
}

// TestStrangersAreNotKept: their connections end with the answer.
func TestStrangersAreNotKept(t *testing.T) {
	serving(t, func(t *testing.T, p *pipes) {
		conn := p.dialFrom("192.168.1.9")
		defer conn.Close()
		if answer, took := ask(t, conn, "GET / HTTP/1.1\r\nHost: 192.168.1.7\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 404") || took > time.Second {
			t.Errorf("after %v: %q, want 404 and the end", took, answer)
		}
	})
}

// answers tells whether a request on a connection is answered within a second.
func answers(t *testing.T, c net.Conn) bool {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(c, "GET /"+servedToken+"/ HTTP/1.1\r\nHost: 192.168.1.7\r\n\r\n"); err != nil {
		return false
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	return err == nil && answer.StatusCode == http.StatusOK
}

// TestStrangersLeaveRoom: one address fills its own places, many fill those of guests; this machine is served all the same.
func TestStrangersLeaveRoom(t *testing.T) {
	serving(t, func(t *testing.T, p *pipes) {
		var open []net.Conn
		keep := func(c net.Conn) net.Conn { open = append(open, c); return c }
		for range maxFromOne {
			keep(p.dialFrom("192.168.1.9"))
		}
		synctest.Wait()
		if answers(t, keep(p.dialFrom("192.168.1.9"))) {
			t.Errorf("connection %d of one address was served", maxFromOne+1)
		}
		if !answers(t, keep(p.dialFrom("192.168.1.10"))) {
			t.Error("another address was not served")
		}
		for len(open) < maxGuests+10 {
			keep(p.dialFrom(net.IPv4(10, 0, byte(len(open)>>8), byte(len(open))).String()))
		}
		synctest.Wait()
		if answers(t, keep(p.dialFrom("192.168.1.11"))) {
			t.Errorf("guest %d was served", maxGuests+1)
		}
		if !answers(t, keep(p.dial())) || !answers(t, keep(p.dialFrom("192.168.1.7"))) {
			t.Error("the owner is shut out of his machine")
		}
		for _, c := range open {
			c.Close()
		}
		synctest.Wait()
		last := p.dialFrom("192.168.1.9")
		defer last.Close()
		if !answers(t, last) {
			t.Error("when the others have left there is no room")
		}
	})
}

// TestManyConnections of this machine: the bound holds, and who waits gets his turn.
func TestManyConnections(t *testing.T) {
	serving(t, func(t *testing.T, p *pipes) {
		var open []net.Conn
		for range maxConns {
			open = append(open, p.dial())
		}
		synctest.Wait()
		waiting := p.dial()
		if answers(t, waiting) {
			t.Errorf("connection %d was served", maxConns+1)
		}
		waiting.Close()
		open[0].Close()
		next := p.dial()
		if !answers(t, next) {
			t.Error("who comes after one has left is not served")
		}
		for _, c := range append(open, next) {
			c.Close()
		}
	})
}

// TestServesItself: a node that listens on one address of its machine, and on no loopback one, takes requests from there for its own: a viewer reads its
// own streams so.
func TestServesItself(t *testing.T) {
	serving(t, func(t *testing.T, p *pipes) {
		for from, want := range map[string]int{"192.168.1.7": 200, "::ffff:192.168.1.7": 200, "192.168.1.8": 404} {
			conn := p.dialFrom(from)
			go func() { _, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 192.168.1.7\r\n\r\n") }()
			if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || answer.StatusCode != want {
				t.Errorf("from %s: %v, %v, want %d", from, answer, err, want)
			}
			conn.Close()
		}
	})
}
