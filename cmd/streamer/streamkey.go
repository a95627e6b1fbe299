package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tailcast/ingest/admit"
	"tailcast/ingest/srt"
	"tailcast/internal/durable"
	"tailcast/node"
)

// The stream key is what encoders show. It comes from --stream-key-file, or is made here once, when encoders are waited for beyond this
// machine. It is never taken from arguments or the environment, where every process of this user could read it, and it is in no log, on no page and
// in no status.

const (
	shortestKey = 8
	keyName     = "stream-key" // in --data

	keyCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~" // unreserved in URLs (RFC 3986, 2.3)
)

// readSecret reads a file that holds one line, which must not be short; nothing, if there is no file. what names the flag.
func readSecret(what, file string, shortest int) (string, error) {
	if file == "" {
		return "", nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", node.Configuration(fmt.Errorf("%s: %w", what, err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", node.Configuration(fmt.Errorf("%s: %w", what, err))
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < shortest {
		return "", node.Configuration(fmt.Errorf("%s: there must be %d characters at least", what, shortest))
	}
	return secret, nil
}

// readKey is readSecret for the stream key, which is of characters that mean themselves in every address it goes into.
func readKey(what, file string) (string, error) {
	key, err := readSecret(what, file, shortestKey)
	if err == nil && strings.ContainsFunc(key, func(r rune) bool { return !strings.ContainsRune(keyCharacters, r) }) {
		return "", node.Configuration(fmt.Errorf("%s: the key has characters that the addresses of encoders do not take: choose one of letters (a-z, A-Z), digits and - . _ ~ alone", what))
	}
	return key, err
}

// loadSecrets reads the stream key and the passphrase of SRT, and makes the key if there has to be one. made says that it is new. Of
// one that is kept the log says how to see it: it may have been made by a start that failed before it was printed.
func (o *options) loadSecrets(ctx context.Context, list []input, log *slog.Logger) (made bool, err error) {
	if o.passphrase, err = readSecret("--srt-passphrase-file", o.passphraseFile, srt.ShortestPassphrase); err != nil {
		return false, err
	}
	if o.key, err = readKey("--stream-key-file", o.keyFile); err != nil || o.key != "" {
		return false, err
	}
	open, err := o.opensBeyond(ctx, list)
	if err != nil || !open {
		return false, err
	}
	if o.key, made, err = keptKey(o.Data); err == nil && !made {
		log.Info("the stream key is in a file; `streamer key stream` shows it", "file", filepath.Join(o.Data, keyName))
	}
	return made, err
}

// opensBeyond tells whether encoders are waited for where other machines can reach, as a rendition of list or as a backup.
func (o *options) opensBeyond(ctx context.Context, list []input) (bool, error) {
	list = slices.Concat(list, o.standby.inputs())
	waits := map[string]string{}
	for _, in := range list {
		if in.kind == push {
			waits = o.listeners()
		}
	}
	for _, in := range list {
		if in.kind == srtInput {
			if a, err := srt.ParseURL(in.url); err == nil && a.Listen && a.PassphraseFile == "" {
				waits["INPUT"] = a.Addr
			}
		}
	}
	for flag, addr := range waits {
		beyond, err := admit.Beyond(ctx, addr)
		if err != nil {
			return false, node.Configuration(fmt.Errorf("%s: %w", flag, err))
		}
		if beyond {
			return true, nil
		}
	}
	return false, nil
}

// listeners are the addresses at which encoders are waited for that need the key, by flag.
func (o *options) listeners() map[string]string {
	all := map[string]string{"--rtsp": o.rtsp, "--rtmp": o.rtmp, "--rtmps": o.rtmps, "--srt": o.srt, "--whip": o.whip}
	if o.passphrase != "" {
		delete(all, "--srt") // is closed by that
	}
	for flag, addr := range all {
		if addr == "" {
			delete(all, flag)
		}
	}
	return all
}

// keptKey reads the key that an earlier start made, or makes one.
func keptKey(data string) (key string, made bool, err error) {
	file := filepath.Join(data, keyName)
	key, err = readKey(file, file)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	key = strings.ToLower(rand.Text())
	if err := durable.MkdirAll(data, 0o700); err != nil {
		return "", false, err
	}
	return key, true, durable.WriteFile(file, []byte(key+"\n"), 0o600)
}

// fields are what to type into OBS and other encoders, with the key.
func fields(p *node.Push, key string) (lines [][2]string) {
	if p == nil {
		return [][2]string{{"Stream key", key}} // of INPUT srt://, whose address the user has chosen
	}
	with := func(address string) string {
		return strings.ReplaceAll(address, placeholder, url.PathEscape(key))
	}
	for _, r := range []struct{ name, url string }{{"RTMP", p.RTMP}, {"RTMPS", p.RTMPS}} {
		if r.url == "" {
			continue
		}
		server, name := serverAndKey(r.url)
		lines = append(lines, [2]string{r.name + ", Server", server}, [2]string{r.name + ", Stream Key", with(name)})
	}
	for _, r := range []struct{ name, url string }{{"SRT, Server", p.SRT}, {"RTSP", p.RTSP}, {"HTTP", p.HTTP}} {
		if r.url != "" {
			lines = append(lines, [2]string{r.name, with(r.url)})
		}
	}
	return lines
}

// serverAndKey splits an address of RTMP into what OBS calls "Server" and "Stream Key": all behind /live.
func serverAndKey(address string) (server, name string) {
	before, name, _ := strings.Cut(address, "/live/")
	return before + "/live", name
}

// printFields tells the person who started this what to type, once.
func printFields(w io.Writer, p *node.Push, key, file string) error {
	if _, err := fmt.Fprintf(w, "\nA stream key was made, since others can reach where encoders are waited for. It is kept in %s; `streamer key stream` shows this again.\n", file); err != nil {
		return err
	}
	for _, l := range fields(p, key) {
		if _, err := fmt.Fprintf(w, "  %-18s %s\n", l[0], l[1]); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}
