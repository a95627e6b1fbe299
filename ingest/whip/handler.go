package whip

import (
	"crypto/rand"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

const (
	maxOffer  = 64 << 10         // bytes; a browser's with every codec is below 10 kB
	offerTime = 10 * time.Second // for the body to arrive
	typeSDP   = "application/sdp"
)

// ServeHTTP implements http.Handler: POST at the path, or at the name of a stream below it, begins a session, whose address is below that; DELETE
// there ends it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	id := path.Base(r.URL.Path)
	allow := "POST, OPTIONS"
	if isID(id) {
		allow = "DELETE, OPTIONS"
	}
	switch {
	case r.Method == http.MethodOptions:
		w.Header().Set("Accept-Post", typeSDP) // RFC 9725, 4.2
		w.Header().Set("Allow", allow)
	case r.Method == http.MethodPost && !isID(id):
		s.post(w, r)
	case r.Method == http.MethodDelete && isID(id):
		s.delete(w, r, id)
	default:
		w.Header().Set("Allow", allow)
		http.Error(w, "WHIP: POST an SDP offer here, DELETE the address that the answer names", http.StatusMethodNotAllowed)
	}
}

func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	run, room, err := s.enter(strings.Trim(strings.TrimPrefix(r.URL.Path, s.path), "/"))
	if err != nil {
		s.complain(w, r, err)
		return
	}
	p, answer, err := s.begin(w, r, run, room)
	if err != nil {
		if err != error(errBusy) { // who is on air is well
			room.stats.SetError(err)
		}
		s.complain(w, r, err)
		return
	}
	w.Header().Set("Content-Type", typeSDP)
	w.Header().Set("Location", path.Join("/", r.URL.Path, p.id))
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // who has gone does not connect either, and is given up
}

// complain answers that a publisher cannot come.
func (s *Server) complain(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if refused := (refusal{}); errors.As(err, &refused) {
		status = refused.status
	}
	s.log.Warn("whip publisher refused", "peer", r.RemoteAddr, "status", status, "reason", err)
	if status == http.StatusServiceUnavailable || status == http.StatusConflict {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, err.Error(), status)
}

// begin reads an offer and answers it.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, run *running, to *room) (p *session, answer string, err error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != typeSDP {
		return nil, "", refuse(http.StatusUnsupportedMediaType, "want an SDP offer as %s", typeSDP)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(offerTime)) // a writer without deadlines is a test's
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOffer))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return nil, "", refuse(http.StatusRequestEntityTooLarge, "the offer has more than %d bytes", maxOffer)
	}
	if err != nil {
		return nil, "", refuse(http.StatusBadRequest, "couldn't read the offer: %w", err)
	}
	o, err := readOffer(body)
	if err != nil {
		return nil, "", err
	}
	return s.admit(r, run, to, o)
}

// delete ends a session. RFC 9725, 4.2: 200 OK.
func (s *Server) delete(w http.ResponseWriter, r *http.Request, id string) {
	p := s.current(id)
	if p == nil {
		http.Error(w, "there is no such session", http.StatusNotFound)
		return
	}
	p.end(errDeleted)
	select {
	case <-p.gone:
	case <-r.Context().Done():
	}
	w.WriteHeader(http.StatusOK)
}

// Session ids cannot be guessed (RFC 9725, 5), and look like nothing else: a stream may be called session-1.
const idPrefix = "session-"

// newID makes one: the prefix, and 26 characters of base 32.
func newID() string { return idPrefix + rand.Text() }

func isID(name string) bool {
	text, found := strings.CutPrefix(name, idPrefix)
	return found && len(text) == 26 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
