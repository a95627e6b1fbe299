// Plot draws what internal/sim has written with -csv: the broadcaster's egress and the lag over the number of viewers, what is missed when
// many vanish at once, and a crowd that comes within half a minute. It is a module by itself, so that the commands do not depend on a
// plotting library.
//
//	cd internal/plot && go run . ../../out/sim
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: plot FOLDER: that of the CSV files, and of the pictures")
		os.Exit(2)
	}
	dir := os.Args[1]
	if err := errors.Join(egress(dir), lag(dir), crash(dir), flash(dir)); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}
