package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"tailcast/ingest"
	"tailcast/ingest/mpegts"
	"tailcast/ingest/switcher"
	"tailcast/internal/slate"
	"tailcast/node"
)

// builtIn is the slate that comes with the program.
const builtIn = "built-in"

// slateRate is planned for while the first thing on air is a slate: how many stripes a channel has is fixed when it begins, and
// what follows a slate is bigger.
const slateRate = 4_000_000

// standbyOptions are the flags of what goes on air in place of INPUT.
type standbyOptions struct {
	texts     []string // of backups
	backups   []backup // what they mean
	slate     string
	wellAfter time.Duration
}

// backup stands by for a rendition. Its own name is that of the door where an encoder pushes it, if one does.
type backup struct {
	input
	of string
}

func (o *standbyOptions) register(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.texts, "backup", nil, "`INPUT` to put on air while the one before it is silent (repeatable, the best first); push waits for an encoder; of several renditions, NAME=INPUT")
	flags.StringVar(&o.slate, "slate", "", "TS `file` to loop while no input delivers, or built-in; it is aired as it is, so a still picture has to be a clip")
	flags.DurationVar(&o.wellAfter, "return-after", 5*time.Second, "how long a better input must have been well before it is taken back")
}

// parse refuses early what could not work later. list are the renditions.
func (o *standbyOptions) parse(list []input) error {
	for _, text := range o.texts {
		b, err := parseBackup(text, list)
		if err != nil {
			return fmt.Errorf("--backup: %w", err)
		}
		b.name = b.of + "-backup"
		if n := len(o.of(b.of)); n > 0 {
			b.name += fmt.Sprint("-", n+1)
		}
		o.backups = append(o.backups, b)
	}
	if err := checkTogether(slices.Concat(list, o.inputs())); err != nil {
		return fmt.Errorf("--backup: %w", err)
	}
	if o.slate != "" && o.slate != builtIn {
		if _, err := parseFile(o.slate); err != nil {
			return fmt.Errorf("--slate: %w", err)
		}
	}
	if o.wellAfter <= 0 {
		return node.Usagef("--return-after %v: want more than 0", o.wellAfter)
	}
	return nil
}

// parseBackup reads INPUT, for the best rendition, or NAME=INPUT.
func parseBackup(text string, list []input) (b backup, err error) {
	b.of = list[0].name
	if name, from, ok := strings.Cut(text, "="); ok && slices.ContainsFunc(list, func(in input) bool { return in.name == name }) {
		b.of, text = name, from
	}
	if text == "push" {
		text = ""
	}
	b.input, err = parseInput(text)
	return b, err
}

// of are the backups of a rendition, best first.
func (o *standbyOptions) of(rendition string) (list []backup) {
	for _, b := range o.backups {
		if b.of == rendition {
			list = append(list, b)
		}
	}
	return list
}

// inputs are all backups.
func (o *standbyOptions) inputs() (list []input) {
	for _, b := range o.backups {
		list = append(list, b.input)
	}
	return list
}

// standby is the master switch and what is known of its inputs.
type standby struct {
	master *switcher.Switcher
	inputs []*standing
	begun  time.Time
}

// standing is one input of it.
type standing struct {
	input  input
	source *source
	health *health // before its lane

	dropped recent // samples, for which there was no room
}

// withStandby makes one source of an input and what may go on air in its place. A single input goes the same way: so it is watched, and never
// waits for what comes after it.
func withStandby(primary *source, in input, o *options, d *doors, log *slog.Logger) (*source, error) {
	st := &standby{inputs: []*standing{{input: in, source: primary}}, begun: time.Now()}
	backups := o.standby.of(in.name)
	for _, b := range backups {
		src, err := open(o, b.input, d, log)
		if err != nil {
			return nil, err
		}
		st.inputs = append(st.inputs, &standing{input: b.input, source: src})
	}
	if o.standby.slate != "" {
		in, src := openSlate(o.standby.slate, log)
		st.inputs = append(st.inputs, &standing{input: in, source: src})
	}
	cfg := switcher.Config{Return: o.standby.wellAfter, Logger: log}
	all := &source{push: primary.push, refused: o.refused, standby: st}
	for i, s := range st.inputs {
		s.health = newHealth(nil)
		isSlate := i > 0 && i == len(backups)+1
		cfg.Inputs = append(cfg.Inputs, switcher.Input{Name: inputName(i, isSlate), Source: s, Slate: isSlate})
		all.stats, all.ways = append(all.stats, s.source.stats...), append(all.ways, s.source.ways...)
	}
	st.master = switcher.New(cfg)
	all.run = st.master.Run
	return all, nil
}

func inputName(i int, isSlate bool) string {
	switch {
	case isSlate:
		return "slate"
	case i == 0:
		return "primary"
	case i == 1:
		return "backup"
	}
	return fmt.Sprintf("backup %d", i)
}

// openSlate is a clip for ever. Its picture is aired as it was encoded: nothing here can encode.
func openSlate(name string, log *slog.Logger) (input, *source) {
	stats := &ingest.Stats{}
	f := &mpegts.File{Config: mpegts.Config{Stats: stats, Logger: log}, Path: name, Loop: true}
	if name == builtIn {
		f.Path, f.Open = "the built-in slate", slate.Open
	}
	return input{kind: file, text: f.Path}, fromFile(f)
}

// Run implements ingest.Source: the input on its way to its lane, watched.
func (s *standing) Run(ctx context.Context, lane ingest.Sink) error {
	s.health.follow(lane)
	return s.source.run(ctx, s.health)
}

// assume is the least bit rate to plan for.
func (st *standby) assume() int64 {
	inputs, _ := st.master.Status()
	for _, in := range inputs {
		if in.Slate && in.OnAir {
			return slateRate
		}
	}
	return 0
}
