package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// startProfiles begins to write profiles to files whose names begin so; stop ends them. Without a name it does nothing.
func startProfiles(name string) (stop func()) {
	if name == "" {
		return func() {}
	}
	runtime.SetMutexProfileFraction(10)
	f, err := os.Create(name + ".cpu")
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchswarm:", err)
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
		for _, kind := range []string{"mutex", "goroutine", "heap", "allocs"} {
			writeProfile(kind, name+"."+kind)
		}
	}
}

func writeProfile(kind, name string) {
	f, err := os.Create(name)
	if err == nil {
		err = pprof.Lookup(kind).WriteTo(f, 0)
		f.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchswarm:", err)
	}
}
