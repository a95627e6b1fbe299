package main

import (
	"net/http"
	"net/netip"
	"strings"

	"tailcast/ingest/admit"
	"tailcast/node"
)

// guard lets in who may publish: with a key, who shows it as bearer token or as password; without one, this machine only. Web
// pages are refused either way: a browser says where a request comes from, an encoder does not.
func guard(gate *admit.Gate, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown := shownKey(r)
		switch {
		case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "":
			http.Error(w, "publishing is for encoders, not for web pages", http.StatusForbidden)
		case !gate.Keyed() && !node.FromHere(r):
			http.Error(w, "publishing from other machines needs a stream key: start the streamer with --stream-key-file", http.StatusForbidden)
		case gate.Keyed() && (shown == "" || gate.Check("HTTP", whence(r), shown) != nil): // who shows none is asked for it, and guesses nothing
			w.Header().Set("WWW-Authenticate", `Basic realm="stream key as password"`)
			http.Error(w, "wrong stream key, or none: show it as password or bearer token", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func shownKey(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	shown := r.Header.Get("Authorization")
	if scheme, token, ok := strings.Cut(shown, " "); ok && strings.EqualFold(scheme, "Bearer") { // in any case (RFC 9110, 11.1)
		return strings.TrimLeft(token, " ")
	}
	return shown
}

// refused counts who did not show the key or have the passphrase, by whatever way in. All ways share one gate, and so one count.
func (o *options) refused() uint64 {
	n := o.gate.Refused()
	for _, g := range o.closed {
		n += g.Refused()
	}
	return n
}

// whence is the address that a request comes from.
func whence(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero Addr, of which all strangers are one
	return a.Addr()
}

// placeholder stands for the stream key in what is shown.
const placeholder = "YOUR-KEY"

// withKey shows where in an address the stream key goes.
func withKey(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	switch {
	case !ok:
		return address
	case scheme == "rtmp" || scheme == "rtmps" || scheme == "srt" && !strings.HasSuffix(address, ":"):
		return address + "/" + placeholder
	case scheme == "srt":
		return address + placeholder
	}
	return scheme + "://key:" + placeholder + "@" + rest
}
