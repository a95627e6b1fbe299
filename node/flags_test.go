package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// flags parses args into a fresh set with the given environment and file.
func flags(t *testing.T, args []string, env map[string]string, file string) (*Flags, error) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
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
		t.Fatal(err)
	}
	return &f, f.Load()
}

func TestPrecedence(t *testing.T) {
	file := "http = \"file:1\"\ndata = \"/file\"\nlisten = \"file:2\"\njson = true\nadvertise = [\"a:1\", \"b:2\"]\n"
	f, err := flags(t, []string{"--http", "flag:1"}, map[string]string{"TAILCAST_HTTP": "env:1", "TAILCAST_LISTEN": "env:2", "TAILCAST_LOG_LEVEL": "debug"}, file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, got, want string }{
		{"flag over environment", f.HTTP, "flag:1"},
		{"environment over file", f.Listen, "env:2"},
		{"file over default", f.Data, "/file"},
		{"environment with a dash in the flag", f.LogLevel, "debug"},
		{"default", f.LogFormat, "auto"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
	if want := []string{"a:1", "b:2"}; !slices.Equal(f.Advertise, want) || !f.JSON {
		t.Errorf("list and bool from the file: got %q %v, want %q true", f.Advertise, f.JSON, want)
	}
	if !f.Explicit("listen") || f.Explicit("log-format") {
		t.Error("a value from the environment must count as explicit, a default must not")
	}
}

func TestConfigurationErrorsNameThePlace(t *testing.T) {
	for _, c := range []struct {
		name, file, want string
		env              map[string]string
		args             []string
	}{
		{name: "unknown setting", file: "speed = 3", want: "speed: there is no such setting"},
		{name: "broken file", file: "http = ", want: "tailcast.toml"},
		{name: "wrong type in the file", file: "json = \"maybe\"", want: "json:"},
		{name: "wrong type in the environment", env: map[string]string{"TAILCAST_JSON": "maybe"}, want: "TAILCAST_JSON"},
		{name: "missing file", args: []string{"--config", "/nonexistent.toml"}, want: "/nonexistent.toml does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := flags(t, c.args, c.env, c.file)
			var code coded
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &code) || code.code != ExitConfiguration {
				t.Errorf("got %v, want a configuration error that says %q", err, c.want)
			}
		})
	}
}

func TestReadyIsOneFactALine(t *testing.T) {
	r := Ready{Role: "streamer", Link: "tailcast:x", HTTP: "http://127.0.0.1:8080", Listen: []string{"127.0.0.1:4433"}}
	var lines, object bytes.Buffer
	if err := errors.Join(r.Print(&lines, false), r.Print(&object, true)); err != nil {
		t.Fatal(err)
	}
	if want := "link    tailcast:x\nhttp    http://127.0.0.1:8080\nlisten  127.0.0.1:4433\n"; lines.String() != want {
		t.Errorf("lines: got %q, want %q", lines.String(), want)
	}
	if want := `{"event":"ready","role":"streamer","link":"tailcast:x","http":"http://127.0.0.1:8080","listen":["127.0.0.1:4433"]}` + "\n"; object.String() != want {
		t.Errorf("object: got %s, want %s", object.String(), want)
	}
}
