package player

import (
	"embed"
	"io/fs"
	"net/http"
	"strings"
)

// vendored holds third parties' files, each in a folder that names its version: docs/player.md says where they are from.
//
//go:embed web/vendor/*/*.js web/vendor/*/LICENSE web/vendor/*/SHA256SUMS
var vendored embed.FS

// HLSScript is where the page finds hls.js.
const HLSScript = "/vendor/hls.js-1.7.4/hls.min.js"

// vendor serves the folders of vendored. A version never changes, so browsers may keep it.
func vendor() http.Handler {
	files, err := fs.Sub(vendored, "web/vendor")
	if err != nil {
		panic("player: " + err.Error())
	}
	server := http.StripPrefix("/vendor/", http.FileServerFS(files))
	return page(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") { // no lists of files
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		server.ServeHTTP(w, r)
	}))
}
