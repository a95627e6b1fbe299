package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/internal/command"
)

// documented are the commands of a section of docs/ingest.md, in words.
func documented(t *testing.T, section string) (list [][]string) {
	t.Helper()
	for _, line := range documentedLines(t, section) {
		list = append(list, strings.Fields(strings.ReplaceAll(line, `"`, "")))
	}
	return list
}

// TestDocumentedPush runs the commands of docs/ingest.md for RTMP and SRT as they stand, but for ports and files: each brings a channel on air.
func TestDocumentedPush(t *testing.T) {
	need(t, "ffmpeg")
	beside(t, 1)
	cert, private := certificate(t)
	for _, section := range pushSections {
		var waiting *command.Process // the streamer of the last command
		caller := ""                 // where an encoder waits for a call
		for _, words := range documented(t, section) {
			line := strings.Join(words, " ")
			words = replaced(words, "film.ts", clipFile, "KEY", "sesame-open", "key.txt", keyFile(t), "cert.pem", cert, "key.pem", private)
			switch {
			case words[0] == "streamer" && strings.Contains(line, "srt://"):
				p := streamer(t, replaced(words[1:], "127.0.0.1:9000", caller)...)
				until(t, p, "on air by "+line, live)
			case words[0] == "streamer":
				args := append([]string{"--rtsp", "", "--whip", "", "--rtmp", "", "--srt", ""}, words[1:]...)
				if !strings.Contains(line, "stream-key-file") {
					args = append(args, "--stream-key-file", keyFile(t))
				}
				waiting = streamer(t, replaced(args, "127.0.0.1:1935", "127.0.0.1:0", "127.0.0.1:1936", "127.0.0.1:0", "127.0.0.1:8890", "127.0.0.1:0")...)
			case strings.Contains(line, "mode=listener"):
				caller = "127.0.0.1:" + freePort(t)
				pushing(t, replaced(words, "127.0.0.1:9000", caller))
			default:
				end := pushing(t, replaced(words, "127.0.0.1:1935", host(t, waiting.RTMP), "127.0.0.1:1936", host(t, waiting.RTMPS), "127.0.0.1:8890", host(t, waiting.SRT)))
				until(t, waiting, "on air by "+line, live)
				end()
				until(t, waiting, "silent", func(s status) bool { return !live(s) })
			}
		}
	}
}

func replaced(words []string, pairs ...string) (out []string) {
	r := strings.NewReplacer(pairs...)
	for _, w := range words {
		out = append(out, r.Replace(w))
	}
	return out
}

// host is that of an address; nothing but itself, if there is none.
func host(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// pushing runs ffmpeg until end, or the end of the test.
func pushing(t *testing.T, words []string) (end func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), words[0], append([]string{"-v", "error", "-nostdin"}, words[1:]...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(end)
	return end
}

// certificate makes one for this machine, and its key: two files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "private.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
