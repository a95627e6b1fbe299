package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/adrg/xdg"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
)

// Flags are those that all commands have.
type Flags struct {
	Data      string
	Listen    string
	Advertise []string
	HTTP      string
	Config    string
	LogLevel  string
	LogFormat string
	JSON      bool
	NoLAN     bool
	Window    Window
	Archive   bool
	Up        Rate

	set *pflag.FlagSet
}

// Default addresses. A default that is taken is replaced by a free port, see Listen.
const (
	DefaultListen = ":4433"
	DefaultHTTP   = "127.0.0.1:8080"
)

// Register adds the common flags to set; data is the default of --data.
func (f *Flags) Register(set *pflag.FlagSet, data string) {
	f.set = set
	set.StringVar(&f.Data, "data", data, "directory for keys, notes and history")
	set.StringVar(&f.Listen, "listen", DefaultListen, "UDP `address` other nodes connect to; port 0 takes a free one")
	set.StringArrayVar(&f.Advertise, "advertise", nil, "`host:port` to put into the link instead of the listening addresses (repeatable)")
	set.StringVar(&f.HTTP, "http", DefaultHTTP, "TCP `address` of the page, player streams, status and metrics")
	set.Var(&f.Up, "up", "send at most so much to other nodes, in bits per second: 800k, 12M, 1.5G; without it, as much as the line takes")
	set.Var(&f.Window, "window", "keep so much of the past on disk: a `time` (2h, 7d), a size (50GB), or both (2h,50GB); the oldest leaves, its signatures stay")
	set.BoolVar(&f.Archive, "archive", false, "keep all of the past on disk, without bound; a streamer does, unless --window says otherwise")
	set.BoolVar(&f.NoLAN, "no-lan", false, "do not announce this node on the local network, and do not look for others there")
	set.StringVar(&f.Config, "config", "", "TOML `file` with values for these flags")
	set.StringVar(&f.LogLevel, "log-level", "info", "debug, info, warn or error")
	set.StringVar(&f.LogFormat, "log-format", "auto", "text, json, or auto: text on a terminal")
	set.BoolVar(&f.JSON, "json", false, "print facts as one JSON object a line")
}

// DataDir is the XDG directory of a role: what must not be lost, below $XDG_DATA_HOME.
func DataDir(role string) string { return filepath.Join(xdg.DataHome, "tailcast", role) }

// Explicit tells whether the user set the flag himself, by flag, environment or file.
func (f *Flags) Explicit(name string) bool { return f.set != nil && f.set.Changed(name) }

// Load fills in what the command line left open: flag > TAILCAST_* environment > file > default. Errors are configuration errors
// that name the place.
func (f *Flags) Load() error {
	if err := f.loadEnvironment(os.LookupEnv); err != nil {
		return Configuration(err)
	}
	return Configuration(f.loadFile())
}

func (f *Flags) loadEnvironment(lookup func(string) (string, bool)) (err error) {
	f.set.VisitAll(func(flag *pflag.Flag) {
		name := "TAILCAST_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, ok := lookup(name)
		if !ok || flag.Changed || err != nil {
			return
		}
		if e := f.set.Set(flag.Name, value); e != nil {
			err = fmt.Errorf("environment variable %s: %w", name, e)
		}
	})
	return err
}

func (f *Flags) loadFile() error {
	if f.Config == "" {
		return nil
	}
	text, err := os.ReadFile(f.Config)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("configuration file %s does not exist", f.Config)
	} else if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	values := map[string]any{}
	if err := toml.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("configuration file %s: %w", f.Config, err)
	}
	for _, name := range sortedKeys(values) {
		if err := f.setFromFile(name, values[name]); err != nil {
			return fmt.Errorf("configuration file %s: %s: %w", f.Config, name, err)
		}
	}
	return nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (f *Flags) setFromFile(name string, value any) error {
	flag := f.set.Lookup(name)
	if flag == nil || name == "config" {
		return errors.New("there is no such setting; settings are named as the flags are")
	}
	if flag.Changed {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, v := range list {
		if err := f.set.Set(name, fmt.Sprint(v)); err != nil {
			return err
		}
	}
	return nil
}

// Logger writes to w as the flags ask.
func (f *Flags) Logger(w io.Writer) (*slog.Logger, error) { return f.LoggerTo(w, w) }

// LoggerTo is Logger for what lies between us and w.
func (f *Flags) LoggerTo(w, through io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.LogLevel)); err != nil {
		return nil, Usagef("--log-level %q: want debug, info, warn or error", f.LogLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch format := f.LogFormat; {
	case format == "text" || format == "auto" && IsTerminal(w):
		return slog.New(slog.NewTextHandler(through, options)), nil
	case format == "json" || format == "auto":
		return slog.New(slog.NewJSONHandler(through, options)), nil
	}
	return nil, Usagef("--log-format %q: want text, json or auto", f.LogFormat)
}
