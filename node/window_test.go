package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"tailcast/feed"
)

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		text string
		want feed.Retention // zero: refused
	}{
		{"2h", feed.Retention{For: 2 * time.Hour}},
		{"90m", feed.Retention{For: 90 * time.Minute}},
		{"1h30m", feed.Retention{For: 90 * time.Minute}},
		{"7d", feed.Retention{For: 7 * 24 * time.Hour}},
		{"1d12h", feed.Retention{For: 36 * time.Hour}},
		{"50GB", feed.Retention{Bytes: 50e9}},
		{"1.5TB", feed.Retention{Bytes: 15e11}},
		{"64MiB", feed.Retention{Bytes: 64 << 20}},
		{"300kB", feed.Retention{Bytes: 300e3}},
		{"12B", feed.Retention{Bytes: 12}},
		{"2h,50GB", feed.Retention{For: 2 * time.Hour, Bytes: 50e9}},
		{"50GB,7d", feed.Retention{For: 7 * 24 * time.Hour, Bytes: 50e9}},
		{text: ""},
		{text: "0"},
		{text: "0s"},
		{text: "0GB"},
		{text: "-2h"},
		{text: "-5GB"},
		{text: "2"},
		{text: "50"},
		{text: "GB"},
		{text: "d"},
		{text: "50G"},
		{text: "50 GB"},
		{text: "50gb"},
		{text: "1e3GB"},
		{text: "0x5GB"},
		{text: "infGB"},
		{text: "NaNB"},
		{text: "1.2.3GB"},
		{text: "1000000000TB"},
		{text: "1.5d"},
		{text: "99999d"},
		{text: "2h2d"},
		{text: "2h,"},
		{text: ",2h"},
		{text: "2h,3h"},
		{text: "5GB,6GB"},
		{text: "2h,5GB,6GB"},
		{text: "2h 5GB"},
	} {
		var w Window
		err := w.Set(c.text)
		if w.Retention != c.want || (err != nil) != (c.want == feed.Retention{}) {
			t.Errorf("%q: got %+v, %v, want %+v", c.text, w.Retention, err, c.want)
		}
		if err == nil && w.String() != c.text {
			t.Errorf("%q: prints as %q", c.text, w.String())
		}
	}
}

// What the flags ask for, from wherever they come; a kind of node decides what happens without them.
func TestHistory(t *testing.T) {
	hours, size := feed.Retention{For: 2 * time.Hour}, feed.Retention{Bytes: 50e9}
	for _, c := range []struct {
		name      string
		args      []string
		env       string
		file      string
		otherwise bool
		want      History
		err       string
	}{
		{name: "viewer"},
		{name: "streamer", otherwise: true, want: History{Keep: true}},
		{name: "viewer with an archive", args: []string{"--archive"}, want: History{Keep: true}},
		{name: "viewer with a window", args: []string{"--window", "2h"}, want: History{true, hours}},
		{name: "streamer with a window", args: []string{"--window", "2h"}, otherwise: true, want: History{true, hours}},
		{name: "from the environment", env: "50GB", want: History{true, size}},
		{name: "flag over environment", args: []string{"--window", "2h"}, env: "50GB", want: History{true, hours}},
		{name: "from the file", file: "window = \"50GB\"\n", want: History{true, size}},
		{name: "both", args: []string{"--archive", "--window", "2h"}, err: "--archive keeps everything, --window 2h does not"},
		{name: "both, one from the environment", args: []string{"--archive"}, env: "2h", err: "want one of them"},
		{name: "nonsense on the command line", args: []string{"--window", "soon"}, err: `"soon" is neither a time`},
		{name: "nonsense in the environment", env: "50G", err: `environment variable TAILCAST_WINDOW: invalid argument "50G"`},
		{name: "nonsense in the file", file: "window = 7\n", err: `window: invalid argument "7"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.env != "" {
				t.Setenv("TAILCAST_WINDOW", c.env)
			}
			got, err := history(t, c.args, c.file, c.otherwise)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %+v, %v, want %+v and %q", got, err, c.want, c.err)
			}
			var exit coded
			if errors.As(err, &exit) && strings.HasPrefix(c.name, "both") && exit.code != ExitUsage {
				t.Errorf("got exit code %d, want %d", exit.code, ExitUsage)
			}
		})
	}
}

func history(t *testing.T, args []string, file string, otherwise bool) (History, error) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "tailcast.toml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	var f Flags
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.Register(set, "/default")
	if err := set.Parse(args); err != nil {
		return History{}, err
	}
	if err := f.Load(); err != nil {
		return History{}, err
	}
	return f.History(otherwise)
}
