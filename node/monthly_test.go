package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openMonthly(t *testing.T, dir string, limit uint64, now *time.Time) *Monthly {
	t.Helper()
	m, err := OpenMonthly(dir, limit, func() time.Time { return *now })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The count goes on after a restart, begins anew with each month, and a clock that was wrong costs nothing.
func TestMonthlyCounts(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC)
	m := openMonthly(t, dir, 1000, &now)
	want := func(month string, sent uint64, usedUp bool) {
		t.Helper()
		if s := m.Status(); s.Month != month || s.Sent != sent || s.UsedUp != usedUp || s.Limit != 1000 {
			t.Errorf("got %+v, want %d in %s, used up: %v", s, sent, month, usedUp)
		}
	}
	want("2026-01", 0, false)
	m.Add(999)
	want("2026-01", 999, false)
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	m.Add(1) // and the process is killed
	want("2026-01", 1000, true)
	m = openMonthly(t, dir, 1000, &now)
	want("2026-01", 999, false)

	now = now.Add(time.Second).In(time.FixedZone("west", -8*3600)) // January there, February in UTC
	want("2026-02", 0, false)
	m.Add(5)
	now = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	m.Add(7)
	now = time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
	want("2026-02", 5, false)
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, monthlyFile))
	if got, want := string(text), `{"sent_bytes":{"1970-01":7,"2026-01":999,"2026-02":5}}`+"\n"; err != nil || got != want {
		t.Errorf("on disk: got %q, %v, want %q", got, err, want)
	}
	if got, want := m.Status().Resets, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("resets at %v, want %v", got, want)
	}
}

func TestOldMonthsAreForgotten(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2020, 12, 1, 0, 0, 0, 0, time.UTC)
	m := openMonthly(t, dir, 0, &now)
	for range 40 {
		m.Add(1)
		now = now.AddDate(0, 1, 0)
	}
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, monthlyFile))
	if err != nil || strings.Count(string(text), ":1") != maxMonths || !strings.Contains(string(text), "2024-03") {
		t.Errorf("got %q, %v, want the newest %d months", text, err, maxMonths)
	}
	if err := m.Save(); err != nil {
		t.Errorf("saved again: %v", err)
	}
}

func TestDamagedCountIsNotTakenForZero(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, monthlyFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenMonthly(dir, 1, time.Now)
	var code coded
	if !errors.As(err, &code) || code.code != ExitConfiguration || !strings.Contains(err.Error(), monthlyFile) {
		t.Errorf("got %v, want a configuration error that names the file", err)
	}
	now := time.Now()
	m := openMonthly(t, t.TempDir(), 1, &now)
	m.file = filepath.Join(dir, "nowhere", monthlyFile)
	m.Add(1)
	if err := m.Save(); err == nil {
		t.Error("a folder that is gone: got no error")
	}
	m.file = filepath.Join(dir, monthlyFile)
	if err := m.Save(); err != nil { // what failed is tried again
		t.Error(err)
	}
}

// Whoever always sends as fast as he may has something left until the end, and uses all of it; who sends less is not slowed down.
func TestPaceLastsToTheEnd(t *testing.T) {
	const limit = 5_000_000_000_000
	for _, line := range []uint64{1e9, 50e6, 10e6} {
		t.Run(fmt.Sprint(line), func(t *testing.T) {
			now := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
			m := openMonthly(t, t.TempDir(), limit, &now)
			for step := time.Minute; ; now = now.Add(step) {
				s := m.Status()
				if s.Month != "2026-02" {
					break
				}
				if s.UsedUp || s.Sent > limit {
					t.Fatalf("%v before the end all is used up", s.Resets.Sub(now))
				}
				if line == 10e6 && s.Pace < line {
					t.Fatalf("%v before the end the pace is %d, though the line uses less than it may", s.Resets.Sub(now), s.Pace)
				}
				m.Add(min(line, s.Pace) / 8 * uint64(step.Seconds()))
			}
			if sent := m.sent["2026-02"]; line >= 50e6 && float64(sent) < 0.999*limit {
				t.Errorf("%d of %d were used", sent, int64(limit))
			}
		})
	}
}
