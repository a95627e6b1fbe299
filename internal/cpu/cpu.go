// Package cpu tells how much processor time a process has used: what benchmarks report, since it does not grow with the load
// of a shared machine as elapsed time does.
package cpu

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Used is the user and system time of all our threads so far (getrusage(2)).
func Used() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic("cpu: " + err.Error()) // RUSAGE_SELF cannot fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tick is the unit of times in /proc (proc(5), USER_HZ).
const tick = 10 * time.Millisecond

// Of is that of another process (proc(5), stat, fields 14 and 15); 0 where there is no /proc, or no such process.
func Of(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ") // a name may have blanks
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}
