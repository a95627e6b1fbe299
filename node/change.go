package node

import (
	"crypto/subtle"
	"net/http"
	"strings"

	"tailcast/internal/origin"
)

// This file lets the page, and programs of this machine, change what the node does. Whoever reaches the page from elsewhere may watch and no more.
// A page of another site cannot read the token, and so cannot make a browser send it.

// own lets in who sits at this machine, and not through a page of somebody else.
func own(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin.Foreign(r) || !FromHere(r) {
			http.Error(w, "only who sits at this machine may change what is followed; anybody may watch with ?rendition=", http.StatusForbidden)
			return
		}
		next(w, r)
	})
}

// giveToken answers GET /api/v1/token.
func (face Face) giveToken(w http.ResponseWriter, _ *http.Request) {
	WriteJSON(w, http.StatusOK, struct {
		Token string `json:"token"`
	}{face.Token})
}

// choose answers POST /api/v1/rendition?name=NAME.
func (face Face) choose(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if face.Token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(face.Token)) != 1 {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "show the token of /api/v1/token: Authorization: Bearer TOKEN", http.StatusUnauthorized)
		return
	}
	name := r.URL.Query().Get("name")
	if err := face.Choose(name); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	WriteJSON(w, http.StatusOK, struct {
		Rendition string `json:"rendition"`
	}{name})
}
