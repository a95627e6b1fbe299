// Package cpu tells how much processor time this process has used: what benchmarks report, since it does not grow with the load
// of a shared machine as elapsed time does.
package cpu

import (
	"time"

	"golang.org/x/sys/unix"
)

// Used is the user and system time of all threads so far (getrusage(2)).
func Used() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic("cpu: " + err.Error()) // RUSAGE_SELF cannot fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
