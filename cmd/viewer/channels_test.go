package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailcast/feed"
)

// viewerSays runs a command line and returns what it prints.
func viewerSays(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := command()
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// aLink is the link of some channel.
func aLink(t *testing.T) feed.Link {
	t.Helper()
	station, err := feed.OpenStation(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer station.Close()
	return feed.Link{Root: station.Root()}
}

func TestChannels(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a, b := channel{link: aLink(t)}, channel{link: aLink(t)}
	say := func(args ...string) string {
		t.Helper()
		out, err := viewerSays(t, append([]string{"channels", "--data", dir}, args...)...)
		if err != nil {
			return "error: " + err.Error()
		}
		return out
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"list"}, ""},
		{[]string{"add", a.link.String(), "--name", "Eins", "--group", "News"}, "added     " + a.id() + "\n"},
		{[]string{"add", b.link.String()}, "added     " + b.id() + "\n"},
		{[]string{"add", b.link.String(), "--logo", "https://example.org/x.png"}, "changed   " + b.id() + "\n"},
		{[]string{"add", "tailcast:wrong"}, "error: "},
		{[]string{"add"}, "error: want one LINK"},
		{[]string{"add", a.link.String(), "--name", "two\nlines"}, "error: --name"},
		{[]string{"add", a.link.String(), "--logo", "javascript:x"}, "error: --logo"},
		{[]string{"list"}, a.id() + "  Eins                     News             " + a.link.String() + "\n" + b.id() + "  -"},
		{[]string{"list", "--json"}, `{"id":"` + a.id() + `","link":"` + a.link.String() + `","name":"Eins","group":"News"}`},
		{[]string{"remove", "zwei"}, "error: zwei: no channel"},
		{[]string{"remove", "eins"}, "removed   " + a.id() + "\n"},
		{[]string{"remove", a.link.String()}, "error: that channel is not on the list"},
		{[]string{"remove", b.id()}, "removed   " + b.id() + "\n"},
		{[]string{"list"}, ""},
	} {
		if got := say(c.args...); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%v: got %q, want %q", c.args, got, c.want)
		}
	}
}

func TestChannelsFileIsChecked(t *testing.T) {
	link := aLink(t).String()
	for text, want := range map[string]string{
		"[[channel]]\nlink = \"nonsense\"\n":                                           "channel 1",
		"[[channel]]\nlink = \"" + link + "\"\n[[channel]]\nlink = \"" + link + "\"\n": "twice",
		"[[channel]]\nlink = \"" + link + "\"\ncolour = 1\n":                           "strict",
		"[[channel": "toml",
		strings.Repeat("[[channel]]\nlink = \""+link+"\"\n", maxChannels+1): "at most",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, channelsFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readChannels(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), channelsFile) {
			t.Errorf("%.60q: got %v, want %q and the file's name in it", text, err, want)
		}
	}
}
