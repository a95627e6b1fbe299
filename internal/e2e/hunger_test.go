package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"tailcast/internal/command"
)

// hunger watches how long processes wait for a processor, as the kernel counts it: a machine that is busy with other things makes real
// processes late, and that is nobody's fault.
type hunger struct {
	samples []appetite
	stop    chan struct{}
	done    chan struct{}
}

// An appetite is how long all threads of some processes have run until a time, and waited to.
type appetite struct {
	at        time.Time
	ran, want time.Duration // want: ran or waited
}

// feelHunger samples the processes until the end.
func feelHunger(list []*command.Process) *hunger {
	h := &hunger{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		last := make(map[string]appetite)
		for total := (appetite{}); ; {
			for _, p := range list {
				addThreads(&total, last, p.Pid())
			}
			total.at = time.Now()
			h.samples = append(h.samples, total)
			select {
			case <-tick.C:
			case <-h.stop:
				return
			}
		}
	}()
	return h
}

// addThreads adds what the threads of a process have run and waited since they were looked at last.
func addThreads(total *appetite, last map[string]appetite, pid int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		text, err := os.ReadFile(file)
		var ran, waited time.Duration // ns
		if err != nil {
			continue
		}
		if _, err := fmt.Sscan(string(text), &ran, &waited); err != nil {
			continue
		}
		was := last[file]
		last[file] = appetite{ran: ran, want: ran + waited}
		total.ran += ran - was.ran
		total.want += ran + waited - was.want
	}
}

// end ends the sampling; then fed may be asked.
func (h *hunger) end() {
	close(h.stop)
	<-h.done
}

// fed returns which part of the time that they wanted to run between two times the processes did run; 1 if the system does not tell.
func (h *hunger) fed(from, to time.Time) float64 {
	var a, b appetite
	for _, s := range h.samples {
		if a.at.IsZero() || !s.at.After(from) {
			a = s
		}
		b = s
		if s.at.After(to) {
			break
		}
	}
	if b.want == a.want {
		return 1
	}
	return float64(b.ran-a.ran) / float64(b.want-a.want)
}

// freeProcessors returns which part of the machine a process gets that wants all of it, measured for so long.
func freeProcessors(long time.Duration) float64 {
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	begin := time.Now()
	var all sync.WaitGroup
	for range runtime.NumCPU() {
		all.Go(func() {
			for time.Since(begin) < long {
			}
		})
	}
	all.Wait()
	took := time.Since(begin)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	ran := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	return min(1, float64(ran)/float64(took)/float64(runtime.NumCPU()))
}
