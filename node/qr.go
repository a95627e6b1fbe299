package node

import (
	"fmt"
	"net/http"
	"strings"

	"rsc.io/qr"

	"tailcast/internal/origin"
)

// quiet is the white frame that a QR code needs to be found (ISO/IEC 18004, 9.1), in modules.
const quiet = 4

// LinkSVG draws what link returns as a QR code, for the camera of a phone.
func LinkSVG(link func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin.Refuse(w, r, "see this node's addresses") {
			return
		}
		text := link()
		if text == "" {
			http.Error(w, "there is no link yet", http.StatusNotFound)
			return
		}
		code, err := qr.Encode(text, qr.M)
		if err != nil {
			http.Error(w, "the link is too long for a QR code", http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "image/svg+xml")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'")
		_, _ = w.Write([]byte(drawn(code))) // an error here is the client's absence
	})
}

// drawn makes one path of all dark modules: runs of a row are rectangles.
func drawn(code *qr.Code) string {
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			n := 0
			for x+n < code.Size && code.Black(x+n, y) {
				n++
			}
			if n > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, n, n)
				x += n
			}
		}
	}
	side := code.Size + 2*quiet
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%dv%dH0z"/><path d="%s"/></svg>`, side, side, side, side, &path)
}
