package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tailcast/node"
)

// TestStreamKey: a key is made where others can reach a listener and there is none, once, for its owner's eyes; nowhere else.
func TestStreamKey(t *testing.T) {
	data, own := t.TempDir(), filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(own, []byte("  0f-my_Own~.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wait := []input{{kind: push}}
	srtAt := func(address string) []input {
		in, err := parseInput(address)
		if err != nil {
			t.Fatal(err)
		}
		return []input{in}
	}
	beside := func(in input) standbyOptions {
		return standbyOptions{backups: []backup{{in, mainRendition}}}
	}
	made := ""
	for _, c := range []struct {
		name string
		o    options
		list []input
		key  bool
		made bool
	}{
		{"this machine alone", options{rtmp: "127.0.0.1:0", srt: "[::1]:0", rtsp: ":8554"}, wait, false, false},
		{"nothing is waited for", options{rtmp: "0.0.0.0:0"}, []input{{kind: file}}, false, false},
		{"an srt INPUT that calls", options{}, srtAt("srt://192.0.2.7:9000"), false, false},
		{"first opened", options{rtmp: "0.0.0.0:0"}, wait, true, true},
		{"again", options{rtmp: "0.0.0.0:0"}, wait, true, false},
		{"another protocol", options{srt: "[::]:0"}, wait, true, false},
		{"an srt INPUT that waits", options{}, srtAt("srt://0.0.0.0:9000?mode=listener"), true, false},
		{"a backup that is pushed", options{rtmp: "0.0.0.0:0", standby: beside(input{kind: push})}, []input{{kind: file}}, true, false},
		{"a backup that waits for srt", options{standby: beside(srtAt("srt://0.0.0.0:9000?mode=listener")[0])}, []input{{kind: file}}, true, false},
		{"a backup that is fetched", options{rtmp: "0.0.0.0:0", standby: beside(input{kind: file})}, []input{{kind: file}}, false, false},
		{"closed again", options{rtmp: "127.0.0.1:0"}, wait, false, false},
	} {
		c.o.Data = data
		var log bytes.Buffer
		isNew, err := c.o.loadSecrets(t.Context(), c.list, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil || (c.o.key != "") != c.key || isNew != c.made {
			t.Errorf("%s: key %v, new %v, %v; want %v, %v", c.name, c.o.key != "", isNew, err, c.key, c.made)
		}
		if told := strings.Contains(log.String(), "`streamer key stream` shows it"); told != (c.key && !c.made) || c.key && strings.Contains(log.String(), c.o.key) {
			t.Errorf("%s: the log says %q", c.name, log.String())
		}
		if made == "" {
			made = c.o.key
		}
		if c.key && c.o.key != made {
			t.Errorf("%s: another key than before", c.name)
		}
	}
	if info, err := os.Stat(filepath.Join(data, keyName)); err != nil || info.Mode().Perm() != 0o600 || len(made) < 26 {
		t.Errorf("a key of %d characters is kept with mode %v, %v", len(made), info.Mode(), err)
	}
	given := options{keyFile: own, rtmp: "0.0.0.0:0"}
	if isNew, err := given.loadSecrets(t.Context(), wait, quiet()); err != nil || isNew || given.key != "0f-my_Own~." {
		t.Errorf("the key of a file: new %v, %v", isNew, err)
	}
}

func TestStreamKeyErrors(t *testing.T) {
	dir := t.TempDir()
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	type given struct {
		o    options
		want string
	}
	var odd []given
	for _, c := range "/?#%&+,:@ é\xff\n" {
		file := filepath.Join(dir, fmt.Sprint("odd", c))
		if err := os.WriteFile(file, []byte("secret"+string(c)+"secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		odd = append(odd, given{options{keyFile: file}, "--stream-key-file: the key has characters"})
	}
	for _, c := range append(odd, []given{
		{options{keyFile: filepath.Join(dir, "none")}, "--stream-key-file: open "},
		{options{keyFile: short}, "8 characters at least"},
		{options{passphraseFile: short}, "--srt-passphrase-file: there must be 10 characters"},
		{options{rtmp: "1935"}, "--rtmp: address \"1935\" is not host:port"},
	}...) {
		_, err := c.o.loadSecrets(t.Context(), []input{{kind: push}}, quiet())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// TestFields: what OBS asks for, as it calls it.
func TestFields(t *testing.T) {
	const key = "sesame-open"
	o := options{rtmp: "127.0.0.1:1935", rtmps: "192.0.2.7:443", srt: "127.0.0.1:8890", rtsp: "127.0.0.1:8554"}
	var out bytes.Buffer
	if err := printFields(&out, o.expected(), key, "/data/stream-key"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"RTMP, Server       rtmp://127.0.0.1:1935/live\n", "RTMP, Stream Key   sesame-open\n", "RTMPS, Server      rtmps://192.0.2.7:443/live\n",
		"SRT, Server        srt://127.0.0.1:8890?streamid=publish:sesame-open\n", "RTSP               rtsp://key:sesame-open@127.0.0.1:8554/live\n", "/data/stream-key",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it says nothing of %q:\n%s", want, out.String())
		}
	}
	o.passphrase = "quite-another"
	if p := o.expected(); p.SRT != "srt://127.0.0.1:8890?streamid=publish:main&passphrase=YOUR-PASSPHRASE" {
		t.Errorf("with a passphrase, SRT is at %s", p.SRT)
	}
	named := &node.Push{RTMP: withKey("rtmp://127.0.0.1:1935/live/1080p"), SRT: withKey("srt://127.0.0.1:8890?streamid=publish:1080p")}
	if f := fields(named, key); f[0][1] != "rtmp://127.0.0.1:1935/live" || f[1][1] != "1080p/sesame-open" || f[2][1] != "srt://127.0.0.1:8890?streamid=publish:1080p/sesame-open" {
		t.Errorf("of a rendition: %v", f)
	}
}

// TestCertificate: it is made once, for its owner's eyes, and again before it ends.
func TestCertificate(t *testing.T) {
	file, now := filepath.Join(t.TempDir(), selfSigned), time.Now()
	var serials []string
	for _, at := range []time.Time{now, now.AddDate(4, 0, 0), now.AddDate(4, 11, 25)} {
		c, err := keptCertificate(file, at)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Leaf.VerifyHostname("127.0.0.1"); err != nil {
			t.Error(err)
		}
		serials = append(serials, c.Leaf.SerialNumber.String())
	}
	if serials[0] != serials[1] || serials[1] == serials[2] {
		t.Errorf("serial numbers are %v, want the same twice and then another", serials)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kept with mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("rust"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keptCertificate(file, now); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("of a broken file: %v", err)
	}
}
