package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tailcast/internal/origin"
)

// Handler is the HTTP server of a node: status, metrics and health are the node's, everything else is the page's. Other channels than the one at
// / have the same below /c/<id>/.
func Handler(face Face, metrics prometheus.Gatherer) http.Handler {
	mux := face.handler()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { writeHealth(w, true, "") })
	for id, f := range face.Channels {
		mux.Handle("/c/"+id+"/", http.StripPrefix("/c/"+id, f.handler()))
	}
	return checkHost(mux)
}

// handler answers for one channel.
func (face Face) handler() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, r *http.Request) { WriteStatus(w, r, face.Status()) })
	mux.Handle("GET /api/v1/events", NewEvents(face.Status))
	if face.Link != nil {
		mux.Handle("GET /api/v1/link.svg", LinkSVG(face.Link))
	}
	if face.LAN != nil {
		mux.Handle("GET /api/v1/lan.svg", LinkSVG(face.LAN))
	}
	if face.Choose != nil {
		mux.Handle("GET /api/v1/token", own(face.giveToken))
		mux.Handle("POST /api/v1/rendition", own(face.choose))
	}
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ok, reason := face.Ready()
		writeHealth(w, ok, reason)
	})
	mux.Handle("/", face.Page)
	return mux
}

// readStatus is what no other site may do: among other things a status has the secret of the home network.
const readStatus = "read this node's status"

// WriteStatus answers with a status.
func WriteStatus(w http.ResponseWriter, r *http.Request, status any) {
	if !origin.Refuse(w, r, readStatus) {
		WriteJSON(w, http.StatusOK, status)
	}
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // an error here is the client's absence
}

func writeHealth(w http.ResponseWriter, ok bool, reason string) {
	code := http.StatusOK
	if !ok {
		code = http.StatusServiceUnavailable
	}
	WriteJSON(w, code, struct {
		OK     bool   `json:"ok"`
		Reason string `json:"reason,omitempty"`
	}{ok, reason})
}

// checkHost refuses requests that name us by a DNS name. A web page elsewhere can make its own name point to 127.0.0.1 and would
// then be of the same origin as ours (DNS rebinding); it cannot make a browser send an address literal or "localhost" as Host. The unspecified address, by
// which browsers reach this machine too, is the way around what they have against pages that ask for 127.0.0.1; nobody else needs it.
func checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !literalHost(r.Host) {
			http.Error(w, "use the address of this node (such as 127.0.0.1) instead of a name", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func literalHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && !addr.Unmap().IsUnspecified()
}

// closeTime is how long open responses get to end after the context has; streams end by themselves since their requests'
// contexts derive from it.
const closeTime = 2 * time.Second

// Serve answers on ln until ctx ends, and returns when the last response has ended.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           brief(h),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      answerTime,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(newDoor(ln)) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if err := server.Shutdown(graceful); err != nil {
		_ = server.Close() // a client that does not read; nothing is left to tell it
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
