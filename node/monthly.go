package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"tailcast/internal/durable"
)

// monthlyFile is where a Monthly is kept: {"sent_bytes":{"2026-01":1234}}. All months that it names are kept, up to maxMonths, so that a clock
// that was wrong for a while costs no count.
const (
	monthlyFile = "monthly.json"
	maxMonths   = 24
)

// A Monthly counts the bytes sent in each calendar month, in UTC, and holds them to an allowance. Its methods may be called concurrently.
type Monthly struct {
	limit uint64 // bytes a month. If zero, none
	file  string
	now   func() time.Time

	mu    sync.Mutex // guards all below
	sent  map[string]uint64
	dirty bool // not all is on disk
}

type monthlyJSON struct {
	Sent map[string]uint64 `json:"sent_bytes"`
}

// OpenMonthly goes on with the counts in dir, which must exist.
func OpenMonthly(dir string, limit uint64, now func() time.Time) (*Monthly, error) {
	m := &Monthly{limit: limit, file: filepath.Join(dir, monthlyFile), now: now, sent: make(map[string]uint64)}
	text, err := os.ReadFile(m.file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	var stored monthlyJSON
	if err == nil {
		err = json.Unmarshal(text, &stored)
	}
	if err != nil {
		return nil, Configuration(fmt.Errorf("couldn't read how much was sent this month: %s: %w; remove it to begin at zero", m.file, err))
	}
	maps.Copy(m.sent, stored.Sent)
	return m, nil
}

// month names the calendar month of a time.
func month(t time.Time) string { return t.UTC().Format("2006-01") }

// Add counts bytes in this month.
func (m *Monthly) Add(bytes uint64) {
	if bytes == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent[month(m.now())] += bytes
	m.dirty = true
}

// Save puts the counts on disk, if they have changed. What is added after the last call is lost if the process is killed.
func (m *Monthly) Save() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirty {
		return nil
	}
	for _, old := range slices.Sorted(maps.Keys(m.sent))[:max(0, len(m.sent)-maxMonths)] {
		delete(m.sent, old)
	}
	text, err := json.Marshal(monthlyJSON{m.sent})
	if err == nil {
		err = durable.WriteFile(m.file, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("couldn't keep how much was sent this month: %w", err)
	}
	m.dirty = false
	return nil
}

// MonthlyStatus is where the count is now.
type MonthlyStatus struct {
	Month  string    `json:"month"`
	Sent   uint64    `json:"sent_bytes"`
	Limit  uint64    `json:"limit_bytes"` // 0: none
	UsedUp bool      `json:"used_up"`
	Resets time.Time `json:"resets"` // when the next month begins

	Pace uint64 `json:"pace_bps"` // how fast what is left may be used up; 0: there is no limit, or nothing left
}

// Status returns it.
func (m *Monthly) Status() MonthlyStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().UTC()
	s := MonthlyStatus{
		Month: month(now), Sent: m.sent[month(now)], Limit: m.limit,
		Resets: time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC),
	}
	if s.Limit > 0 {
		s.UsedUp = s.Sent >= s.Limit
		s.Pace = pace(s.Limit-min(s.Sent, s.Limit), s.Resets.Sub(now))
	}
	return s
}

// pace is how fast what is left of an allowance may be used up, in bits per second: twice as fast as would use it up evenly until the end. So
// there is room for busy evenings, and who always goes as fast as he may, still has something at the end: what is left falls with the square of
// the time that is left. There is no day on which everything stops.
func pace(left uint64, rest time.Duration) uint64 {
	return uint64(2 * 8 * float64(left) / max(rest, time.Second).Seconds())
}
