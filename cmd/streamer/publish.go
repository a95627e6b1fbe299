package main

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"tailcast/node"
)

// streamKey reads the key that encoders must show. It comes from a file or the environment, never from the command line, where
// every user of the machine could read it.
func streamKey(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", node.Configuration(fmt.Errorf("--stream-key-file: %w", err))
	}
	key := strings.TrimSpace(string(text))
	if len(key) < 8 {
		return "", node.Configuration(errors.New("--stream-key-file: the key must have 8 characters at least"))
	}
	return key, nil
}

// guard lets in who may publish: with a key, who shows it as bearer token or as password; without one, this machine only. Web
// pages are refused either way: a browser says where a request comes from, an encoder does not.
func guard(key string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "":
			http.Error(w, "publishing is for encoders, not for web pages", http.StatusForbidden)
		case key == "" && !node.FromHere(r):
			http.Error(w, "publishing from other machines needs a stream key: start the streamer with --stream-key-file", http.StatusForbidden)
		case key != "" && subtle.ConstantTimeCompare([]byte(shownKey(r)), []byte(key)) != 1:
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
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// withKey shows where in an address the stream key goes.
func withKey(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	return scheme + "://key:YOUR-KEY@" + rest
}
