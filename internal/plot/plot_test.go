package main

import (
	"errors"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// All pictures are drawn from files as internal/sim writes them, and can be opened.
func TestPictures(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{100, 1000} {
		write(t, dir, fmt.Sprintf("runs-std-%d.csv", n), "scenario,viewers,egress,lag_p50_ms,lag_p95_ms,lag_p99_ms,lag_p999_ms",
			fmt.Sprintf("std,%d,2.2,200,300,400,500", n), fmt.Sprintf("std,%d,2.3,210,310,410,510", n))
	}
	for _, name := range []string{"crash", "flash"} {
		write(t, dir, "seconds-"+name+"-1000.csv", "second,viewers,wanted,missed_1s,missed_2s,missed_5s,egress,lag_ms",
			"0,10,0,0,0,0,2,0", "1,10,600,0.1,0.01,0,2.2,200", "2,10,600,0,0,0,2.1,210")
	}
	if err := errors.Join(egress(dir), lag(dir), crash(dir), flash(dir)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"egress.png", "lag.png", "crash.png", "flash.png"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := png.DecodeConfig(f); err != nil || c.Width < 800 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		f.Close()
	}
}

// What is missing is named, with the command that writes it.
func TestMissing(t *testing.T) {
	for _, err := range []error{egress(t.TempDir()), crash(t.TempDir())} {
		if err == nil || !strings.Contains(err.Error(), "go run ./internal/sim") {
			t.Errorf("%v, want the command", err)
		}
	}
}

// The figure of several runs is the one in the middle, and the worst.
func TestMedian(t *testing.T) {
	if middle, most := median([]float64{3, 1, 2}); middle != 2 || most != 3 {
		t.Errorf("%v, %v", middle, most)
	}
}

func write(t *testing.T, dir, name string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}
