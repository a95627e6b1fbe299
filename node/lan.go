package node

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"tailcast/internal/durable"
)

// This file opens the HTTP server to the home network. Televisions and media servers cannot send headers or passwords, so the secret is in the
// path. It is kept, since they keep the address.

// lanTokenFile holds the secret, one line.
const lanTokenFile = "lan.token"

// lanTokenLength is that of crypto/rand.Text: 26 base32 characters, 130 bits.
const lanTokenLength = 26

// LANToken returns the secret kept in dir, after making one at first use. To revoke an address, remove the file.
func LANToken(dir string) (string, error) {
	path := filepath.Join(dir, lanTokenFile)
	text, err := os.ReadFile(path)
	switch token := strings.TrimSuffix(string(text), "\n"); {
	case err == nil && isLANToken(token):
		return token, nil
	case err == nil:
		return "", Configuration(fmt.Errorf("%s is damaged: remove it to get a new secret", path))
	case !errors.Is(err, fs.ErrNotExist):
		return "", Configuration(fmt.Errorf("--lan: %w", err))
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return "", Configuration(fmt.Errorf("--lan: %w", err))
	}
	token := strings.ToLower(rand.Text())
	if err := durable.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return "", Configuration(fmt.Errorf("--lan: %w", err))
	}
	return token, nil
}

func isLANToken(s string) bool {
	return len(s) == lanTokenLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// everywhere is an address of all interfaces of this machine, with the port of addr.
func everywhere(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr // its listener says what is wrong
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		host = ""
	}
	return net.JoinHostPort(host, port)
}

// gate lets requests from other machines through only if their path begins with the secret, which it takes off; those from this machine may do
// without. Without a secret it lets all through: then the address that is listened on is what the user chose.
func gate(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside, knows := withoutToken(r, token)
		switch {
		case knows && inside == nil:
			http.Redirect(w, r, "/"+token+"/", http.StatusMovedPermanently)
		case knows:
			next.ServeHTTP(&prefixed{w, "/" + token}, inside)
		case FromHere(r):
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Connection", "close") // a stranger's connection is not kept
			http.Error(w, "this needs the whole address that the viewer printed as lan", http.StatusNotFound)
		}
	})
}

// withoutToken returns the request as it is behind the secret; nil if nothing follows it. Whether it began with the secret takes the same time
// for all wrong ones.
func withoutToken(r *http.Request, token string) (inside *http.Request, knows bool) {
	first, rest, more := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if subtle.ConstantTimeCompare([]byte(first), []byte(token)) != 1 {
		return nil, false
	}
	if !more {
		return nil, true
	}
	r2 := new(http.Request)
	*r2 = *r
	r2.URL = new(url.URL)
	*r2.URL = *r.URL
	r2.URL.Path, r2.URL.RawPath = "/"+rest, ""
	if _, raw, ok := strings.Cut(strings.TrimPrefix(r.URL.RawPath, "/"), "/"); ok {
		r2.URL.RawPath = "/" + raw
	}
	return r2, true
}

// A prefixed answer redirects to where the client sees things: with the prefix that was taken off its path.
type prefixed struct {
	http.ResponseWriter
	prefix string
}

// Unwrap is for http.ResponseController.
func (p *prefixed) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (p *prefixed) WriteHeader(code int) {
	if to := p.Header().Get("Location"); strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") {
		p.Header().Set("Location", p.prefix+to)
	}
	p.ResponseWriter.WriteHeader(code)
}
