package main

import (
	"errors"
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// The colours of lines.
var (
	blue   = color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	orange = color.RGBA{R: 0xff, G: 0x7f, B: 0x0e, A: 0xff}
	green  = color.RGBA{R: 0x2c, G: 0xa0, B: 0x2c, A: 0xff}
	red    = color.RGBA{R: 0xd6, G: 0x27, B: 0x28, A: 0xff}
	grey   = color.RGBA{R: 0x88, G: 0x88, B: 0x88, A: 0xff}
)

// newPlot returns an empty picture.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font.Size, p.Title.Padding = 15, 8
	for _, f := range []*font.Font{&p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.Legend.TextStyle.Font} {
		f.Size = 12
	}
	p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = 11, 11
	p.Legend.Top, p.Legend.Padding, p.Legend.ThumbnailWidth, p.Legend.XOffs = true, 3, 24, -8
	p.Add(plotter.NewGrid())
	return p
}

// A curve is a line with a name.
type curve struct {
	name   string
	points plotter.XYs
	colour color.Color
	dashed bool
	dots   bool
}

// add draws curves into a picture.
func add(p *plot.Plot, curves ...curve) error {
	for _, c := range curves {
		line, points, err := plotter.NewLinePoints(c.points)
		if err != nil {
			return fmt.Errorf("couldn't draw %s: %w", c.name, err)
		}
		line.Color, line.Width = c.colour, vg.Points(2)
		if c.dashed {
			line.Dashes, line.Width = []vg.Length{6, 4}, 1.5
		}
		p.Add(line)
		if c.dots {
			points.Color, points.Shape, points.Radius = c.colour, draw.CircleGlyph{}, 3.5
			p.Add(points)
		}
		if c.name != "" {
			p.Legend.Add(c.name, line)
		}
	}
	return nil
}

// logarithmic makes an axis so, with ticks at the numbers given.
func logarithmic(a *plot.Axis, ticks ...float64) {
	a.Scale = plot.LogScale{}
	list := plot.ConstantTicks{}
	for _, v := range ticks {
		list = append(list, plot.Tick{Value: v, Label: label(v)})
	}
	a.Tick.Marker = list
}

// label writes a number as people do.
func label(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%d,%03d", int(v)/1000, int(v)%1000)
	}
	return fmt.Sprintf("%g", v)
}

const (
	width  = 24 * vg.Centimeter
	height = 14 * vg.Centimeter
)

// save writes a picture.
func save(p *plot.Plot, dir, name string) error {
	if err := p.Save(width, height, filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("couldn't write %s: %w", name, err)
	}
	return nil
}

// saveStacked writes pictures one below the other, with their axes aligned.
func saveStacked(list []*plot.Plot, dir, name string) error {
	canvas := vgimg.New(width, height*3/2)
	var rows [][]*plot.Plot
	for _, p := range list {
		rows = append(rows, []*plot.Plot{p})
	}
	tiles := draw.Tiles{Rows: len(rows), Cols: 1, PadX: 4, PadY: 14, PadTop: 8, PadBottom: 8, PadLeft: 8, PadRight: 12}
	for i, row := range plot.Align(rows, tiles, draw.New(canvas)) {
		rows[i][0].Draw(row[0])
	}
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	_, err = vgimg.PngCanvas{Canvas: canvas}.WriteTo(f)
	return errors.Join(err, f.Close())
}
