package main

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// over returns a figure of a scenario over the number of viewers: the median of the runs, or the worst.
func over(list []table, figure string, worst bool) (xy plotter.XYs) {
	for _, t := range list {
		y, most := median(t[figure])
		if worst {
			y = most
		}
		xy = append(xy, plotter.XY{X: t["viewers"][0], Y: y})
	}
	return xy
}

// flat returns a line at a height.
func flat(from, to, y float64) plotter.XYs { return plotter.XYs{{X: from, Y: y}, {X: to, Y: y}} }

var decades = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000}

// egress draws what the broadcaster sends over the number of viewers, beside what it would send to each by itself.
func egress(dir string) error {
	list, err := runs(dir, "std")
	if err != nil {
		return err
	}
	xy := over(list, "egress", true)
	from, to := xy[0].X, xy[len(xy)-1].X
	p := newPlot("What the broadcaster sends", "viewers", "bytes on the wire for one of the stream")
	logarithmic(&p.X, decades...)
	logarithmic(&p.Y, decades...)
	p.Legend.Left = true
	direct := plotter.XYs{{X: from, Y: from}, {X: to, Y: to}}
	err = add(p,
		curve{name: "to each viewer by itself", points: direct, colour: grey, dashed: true},
		curve{name: "target: 2.25", points: flat(from, to, 2.25), colour: green, dashed: true},
		curve{name: "measured, worst run", points: xy, colour: blue, dots: true},
	)
	if err != nil {
		return err
	}
	p.Y.Min, p.Y.Max = 1, to
	return save(p, dir, "egress.png")
}

// lag draws how late blocks come over the number of viewers.
func lag(dir string) error {
	list, err := runs(dir, "std")
	if err != nil {
		return err
	}
	p := newPlot("Signed at the broadcaster, verified at the viewer", "viewers", "ms")
	logarithmic(&p.X, decades...)
	p.Legend.Left = true
	xy := over(list, "lag_p50_ms", false)
	from, to := xy[0].X, xy[len(xy)-1].X
	err = add(p,
		curve{name: "99.9 % of the blocks", points: over(list, "lag_p999_ms", false), colour: red, dots: true},
		curve{name: "99 %", points: over(list, "lag_p99_ms", false), colour: orange, dots: true},
		curve{name: "95 %", points: over(list, "lag_p95_ms", false), colour: green, dots: true},
		curve{name: "half", points: xy, colour: blue, dots: true},
		curve{name: "target for 99 %", points: targets(from, to, 500, 900, 1200), colour: orange, dashed: true},
		curve{name: "target for half", points: targets(from, to, 250, 400, 600), colour: blue, dashed: true},
	)
	if err != nil {
		return err
	}
	p.Y.Min = 0
	return save(p, dir, "lag.png")
}

// targets returns a target that is given for 100, 1,000 and 10,000 viewers, within what was measured.
func targets(from, to float64, values ...float64) (xy plotter.XYs) {
	for i, v := range values {
		if n := math.Pow(10, float64(i+2)); n >= from && n <= to {
			xy = append(xy, plotter.XY{X: n, Y: v})
		}
	}
	if len(xy) == 0 {
		return flat(from, to, values[0])
	}
	return xy
}

// series returns a column over the seconds in which viewers wanted anything, times a factor.
func series(t table, column string, times float64) (xy plotter.XYs) {
	for i, v := range t[column] {
		if t["wanted"][i] > 0 {
			xy = append(xy, plotter.XY{X: t["second"][i], Y: times * v})
		}
	}
	return xy
}

// crash draws what is missed when 30 % of the viewers vanish at once.
func crash(dir string) error {
	t, n, err := seconds(dir, "crash")
	if err != nil {
		return err
	}
	p := newPlot(fmt.Sprintf("30 %% of %s viewers vanish at once", label(float64(n))), "second of the stream", "% of its blocks that come too late")
	late1, late2 := series(t, "missed_1s", 100), series(t, "missed_2s", 100)
	from, to := late1[0].X, late1[len(late1)-1].X
	err = add(p,
		curve{name: "over 1 s late", points: late1, colour: blue, dots: true},
		curve{name: "over 2 s late", points: late2, colour: red, dots: true},
		curve{name: "target for 2 s in the worst second", points: flat(from, to, 0.5), colour: red, dashed: true},
	)
	if err != nil {
		return err
	}
	p.Y.Min = 0
	return save(p, dir, "crash.png")
}

// flash draws a crowd that comes within half a minute: how many there are, how late their blocks are, and how many come too late.
func flash(dir string) error {
	t, n, err := seconds(dir, "flash")
	if err != nil {
		return err
	}
	crowd := newPlot(fmt.Sprintf("From 20 to %s viewers within 30 s", label(float64(n))), "", "viewers")
	late := newPlot("", "", "lag, ms, on average")
	missed := newPlot("", "second of the stream", "% over 2 s late")
	sent := newPlot("", "", "egress of the source")
	err = errors.Join(
		add(crowd, curve{points: series(t, "viewers", 1), colour: grey}),
		add(sent, curve{points: series(t, "egress", 1), colour: orange}),
		add(late, curve{points: series(t, "lag_ms", 1), colour: blue}),
		add(missed, curve{points: series(t, "missed_2s", 100), colour: red}),
	)
	if err != nil {
		return err
	}
	list := []*plot.Plot{crowd, sent, late, missed}
	for _, p := range list {
		p.Y.Min = 0
	}
	return saveStacked(list, dir, "flash.png")
}
