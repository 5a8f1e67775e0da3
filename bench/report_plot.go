package bench

import (
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// picture is a plot with what it shows.
type picture struct {
	Title, Note string
	Legend      []series
	SVG         template.HTML
}

// series is a line of a plot.
type series struct {
	Name   string
	Ink    int // a colour of the page
	Dashed bool
	Heavy  bool
	Dots   bool
	points plotter.XYs
}

// inks is how many colours the page has for lines: --ink0 and so on.
const inks = 9

// Colours are the page's, so that they follow it when it is dark. A plot is drawn with
// stand-ins, which no plot has otherwise, and in the SVG these become names.
var (
	inkGrid  = color.RGBA{1, 2, 0xf0, 255}
	inkAxis  = color.RGBA{1, 2, 0xf1, 255}
	inkNames = func() *strings.Replacer {
		pairs := []string{"#0102F0", "var(--grid)", "#0102F1", "var(--muted)"}
		for i := range inks {
			pairs = append(pairs, fmt.Sprintf("#0102%02X", i), fmt.Sprintf("var(--ink%d)", i))
		}
		return strings.NewReplacer(pairs...)
	}()
)

// size is a plot's, in CSS pixels.
type size struct{ width, height vg.Length }

var (
	half = size{500, 250} // two beside each other
	full = size{820, 360}
)

const (
	plotText = 12
	// gap is for fonts wider than the one that gonum measures with.
	gap = "\u00a0"
)

// draw makes an SVG; empty when there is too little to show.
func draw(of size, x, y scale, lines []series) (template.HTML, error) {
	p := plot.New()
	p.BackgroundColor = nil // the page's
	label := y.label
	y.label = func(v float64) string { return label(v) + gap }
	setAxis(&p.X, x)
	setAxis(&p.Y, y)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = inkGrid, inkGrid
	grid.Vertical.Width, grid.Horizontal.Width = 0.75, 0.75
	p.Add(grid)
	for i := range lines {
		s := &lines[i]
		if len(s.points) < 2 && !s.Dots {
			return "", nil
		}
		if err := s.addTo(p); err != nil {
			return "", err
		}
	}
	// Lines have moved the ends.
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = x.from, x.to, y.from, y.to
	c := vgsvg.New(of.width, of.height)
	area := vgdraw.New(c)
	p.Draw(vgdraw.Crop(area, 0, -14, 0, -6)) // half of the last labels is beyond the axes
	var b strings.Builder
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	_, svg, _ := strings.Cut(b.String(), "<svg") // without the XML's heading
	return template.HTML("<svg" + inkNames.Replace(svg)), nil
}

// addTo draws a line, or dots.
func (s *series) addTo(p *plot.Plot) error {
	ink := color.RGBA{1, 2, uint8(s.Ink % inks), 255}
	if s.Dots {
		dots, err := plotter.NewScatter(s.points)
		if err != nil {
			return err
		}
		dots.GlyphStyle = vgdraw.GlyphStyle{Color: ink, Radius: 3.5, Shape: vgdraw.CircleGlyph{}}
		p.Add(dots)
		return nil
	}
	line, err := plotter.NewLine(s.points)
	if err != nil {
		return err
	}
	line.Color, line.Width = ink, 1.7
	if s.Heavy {
		line.Width = 2.8
	}
	if s.Dashed {
		line.Dashes = []vg.Length{5, 3}
	}
	p.Add(line)
	return nil
}

func setAxis(a *plot.Axis, s scale) {
	a.Color, a.Tick.Color, a.Tick.Label.Color = inkAxis, inkAxis, inkAxis
	a.Tick.Length, a.Padding = 4, 0
	a.Tick.Label.Font.Size, a.Tick.Label.Font.Variant = plotText, "Sans"
	a.Tick.Marker = plot.TickerFunc(func(_, _ float64) []plot.Tick { return s.ticks(ticksMost) })
	if s.logarithmic {
		a.Scale = plot.LogScale{}
	}
}

// extent is the least and the most of what lines show.
func extent(lines []series) (least, most float64) {
	least = math.Inf(1)
	for _, s := range lines {
		for _, p := range s.points {
			least, most = min(least, p.Y), max(most, p.Y)
		}
	}
	return min(least, most), most
}

// inMS is a latency for a logarithmic scale, which has no zero.
func inMS(us int64) float64 { return max(0.01, float64(us)/1000) }

// quantiles is the scale of a distribution: each tick has a tenth of the updates above
// it that the one before has.
func quantiles(to float64) scale {
	return scale{to: to, steps: []float64{1}, label: func(v float64) string {
		switch v {
		case 0:
			return "min"
		case 1:
			return "p90"
		case 2:
			return "p99"
		}
		return "p99." + strings.Repeat("9", int(v)-2)
	}}
}

// drawDistributions shows latencies against the share of updates that had more.
func drawDistributions(of size, title, note string, lines []series, latencies [][]Percent) (picture, error) {
	least, most, last := math.Inf(1), 0.01, 1.0
	for i, all := range latencies {
		for _, d := range all {
			if d.Quantile >= 100 {
				continue
			}
			p := plotter.XY{X: -math.Log10(1 - d.Quantile/100), Y: inMS(d.US)}
			lines[i].points = append(lines[i].points, p)
			least, most, last = min(least, p.Y), max(most, p.Y), max(last, p.X)
		}
	}
	svg, err := draw(of, quantiles(last), logScale(min(least, most), most, lasting), lines)
	if len(lines) == 1 {
		lines = nil // the title says it
	}
	return picture{title, note, lines, svg}, err
}
