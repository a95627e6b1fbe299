package node

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"tailcast/feed"
	"tailcast/feed/feedtest"
)

func TestNoteWarning(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		left time.Duration
		want string
	}{
		{90 * day, ""},
		{feed.NoteWarning + time.Second, ""},
		{feed.NoteWarning - time.Second, "ends in 13 days"},
		{time.Hour, "ends in 0 days"},
		{-time.Second, ""}, // that is the reason itself then
	} {
		got := noteWarning(c.left)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%v before the end: got %q, want %q", c.left, got, c.want)
		}
	}
}

// TestStatusTellsWhenTheNoteEnds, as text and as a metric; the command of the streamer is named when it matters.
func TestStatusTellsWhenTheNoteEnds(t *testing.T) {
	c := feedtest.NewChannel(t, feed.Config{}, 1)
	var flags Flags
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.Register(set, t.TempDir())
	if err := set.Parse([]string{"--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	n, err := New(Config{Role: Streamer, Flags: &flags, Channel: ChannelConfig{Replica: c.Replica}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	want := c.Station.Note().NotAfter
	if s := n.Status(); s.NoteExpires == nil || !s.NoteExpires.Equal(want) || strings.Contains(s.Reason, "channel note") {
		t.Errorf("got %v and reason %q, want %v and no warning", s.NoteExpires, s.Reason, want)
	}
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "tailcast_channel_note_expiry_timestamp_seconds" {
			if got := f.Metric[0].Gauge.GetValue(); got != float64(want.Unix()) {
				t.Errorf("the metric says %v, want %v", got, want.Unix())
			}
			return
		}
	}
	t.Error("there is no metric of the note's end")
}
