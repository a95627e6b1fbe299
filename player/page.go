package player

import (
	"embed"
	"encoding/json"
	"net/http"

	"tailcast/internal/origin"
)

//go:embed web/index.html web/*.css web/*.js web/*.svg
var web embed.FS

// policy allows the page what it does and nothing else: scripts and styles from files, media from a MediaSource (data: is the empty track that
// hls.js puts captions into), data from here.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob: data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// secure sets what every answer carries.
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
}

func (s *Server) routes() {
	s.mux.Handle("GET /live.ts", live{s, "ts", s.ts, newTSFormat})
	s.mux.Handle("GET /live.mp4", live{s, "mp4", s.mp4, newMP4Format})
	s.mux.HandleFunc("GET /live.m3u", s.m3u)
	s.mux.HandleFunc("GET /logo.png", s.logo)
	s.mux.HandleFunc("GET /radio.aac", s.radio)
	s.hlsRoutes()
	s.mux.Handle("GET /web/{file}", page(http.HandlerFunc(asset)))
	s.mux.Handle("GET /vendor/", vendor())
	s.mux.Handle("GET /{$}", page(http.HandlerFunc(index)))
	if s.cfg.Status != nil {
		s.mux.HandleFunc("GET /api/v1/status", s.status)
	}
}

// ServeHTTP answers GET and HEAD.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.dispatch(w, r) {
		s.mux.ServeHTTP(w, r)
	}
}

func page(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

func index(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, web, "web/index.html")
}

func asset(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, web, "web/"+r.PathValue("file"))
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if origin.Refuse(w, r, "read this node's status") {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.cfg.Status()) // an error here is the client's absence
}
