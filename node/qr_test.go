package node

import (
	"encoding/xml"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rsc.io/qr"
)

// What is drawn is what the library says, module by module, and well-formed.
func TestLinkSVG(t *testing.T) {
	const link = "tailcast:32ylxp6vqut2jnwyu4lf5purbezc5hjmv4i7q3zhikdurm6yvcr6pyib?a=127.0.0.1:50062"
	w := httptest.NewRecorder()
	LinkSVG(func() string { return link }).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	var svg struct {
		ViewBox string `xml:"viewBox,attr"`
		Paths   []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal(w.Body.Bytes(), &svg); err != nil || len(svg.Paths) != 2 || w.Header().Get("Content-Type") != "image/svg+xml" {
		t.Fatalf("got %s: %v", w.Body, err)
	}
	code, err := qr.Encode(link, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	dark := make(map[[2]int]bool)
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-\d+z`).FindAllStringSubmatch(svg.Paths[1].D, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		n, _ := strconv.Atoi(m[3])
		for k := range n {
			dark[[2]int{x + k - quiet, y - quiet}] = true
		}
	}
	for y := -quiet; y < code.Size+quiet; y++ {
		for x := -quiet; x < code.Size+quiet; x++ {
			if dark[[2]int{x, y}] != code.Black(x, y) {
				t.Fatalf("module %d, %d is drawn %v, want %v", x, y, dark[[2]int{x, y}], code.Black(x, y))
			}
		}
	}
	for text, want := range map[string]int{"": 404, strings.Repeat("x", 5000): 404} {
		w := httptest.NewRecorder()
		LinkSVG(func() string { return text }).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != want {
			t.Errorf("a link of %d characters: got %d, want %d", len(text), w.Code, want)
		}
	}
}
