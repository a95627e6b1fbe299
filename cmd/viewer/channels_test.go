package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tailcast/feed"
	"tailcast/node"
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
		"[[channel]]\nlink = \"" + link + "\"\nlogo = \"javascript:x\"\n":   "channel 1: logo",
		"[[channel]]\nlink = \"" + link + "\"\nname = \"two\\nlines\"\n":    "channel 1: name",
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

// TestDamagedListNamesNoChannels: it stops who would watch what is on it, and not who names a channel himself.
func TestDamagedListNamesNoChannels(t *testing.T) {
	var said strings.Builder
	o := &options{Flags: node.Flags{Data: t.TempDir()}}
	log := slog.New(slog.NewTextHandler(&said, nil))
	if err := os.WriteFile(filepath.Join(o.Data, channelsFile), []byte("[[channel"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.channels(nil, log); err == nil || !strings.Contains(err.Error(), channelsFile) {
		t.Errorf("without a LINK: got %v, want an error that names the file", err)
	}
	link := aLink(t)
	list, err := o.channels([]feed.Link{link}, log)
	if err != nil || len(list) != 1 || list[0].link.Root != link.Root {
		t.Errorf("with a LINK: got %v, %v", list, err)
	}
	if !strings.Contains(said.String(), channelsFile) {
		t.Errorf("it is not said that the list is damaged: %q", said.String())
	}
}

// TestChannelsReadConfig: the list is where the viewer looks for it, also if a file says so, which has settings of the viewer besides.
func TestChannelsReadConfig(t *testing.T) {
	dir, c := t.TempDir(), channel{link: aLink(t)}
	file := filepath.Join(dir, "viewer.toml")
	if err := os.WriteFile(file, []byte("data = "+strconv.Quote(dir)+"\nlan = true\nup = \"12M\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := viewerSays(t, "channels", "--config", file, "add", c.link.String()); err != nil {
		t.Fatalf("%q, %v", out, err)
	}
	if list, err := readChannels(dir); err != nil || len(list.Channels) != 1 {
		t.Errorf("the list in the directory that the file names has %v, %v; want the channel", list.Channels, err)
	}
	if out, err := viewerSays(t, "channels", "list", "--config", file); err != nil || !strings.HasPrefix(out, c.id()) {
		t.Errorf("lists %q, %v", out, err)
	}
	elsewhere := t.TempDir()
	if out, err := viewerSays(t, "channels", "list", "--config", file, "--data", elsewhere); err != nil || out != "" {
		t.Errorf("--data of the command line does not come first: %q, %v", out, err)
	}
	if _, err := viewerSays(t, "channels", "list", "--config", filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there: no error")
	}
}
