package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"image/color"
	"io"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

//go:embed report.html
var reportPage string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{"ms": ms, "n": grouped}).Parse(reportPage))

// WriteHTML writes the report as a page that needs nothing else.
func (r *Result) WriteHTML(w io.Writer) error {
	var table strings.Builder
	r.Print(&table)
	page := struct {
		*Result
		Table string
		Plots []picture
	}{r, table.String(), nil}
	for _, draw := range []func() (picture, error){r.drawLatency, r.drawThroughput, r.drawDistribution, r.drawMemory} {
		p, err := draw()
		if err != nil {
			return fmt.Errorf("bench: report: %w", err)
		}
		if p.SVG != "" {
			page.Plots = append(page.Plots, p)
		}
	}
	return reportTemplate.Execute(w, page)
}

// palette tells the lines of a plot apart, for the colour-blind too.
var palette = []color.Color{
	color.RGBA{0x22, 0x66, 0xcc, 0xff}, color.RGBA{0xd9, 0x5f, 0x02, 0xff}, color.RGBA{0x88, 0x88, 0x88, 0xff}, color.RGBA{0x1b, 0x9e, 0x77, 0xff},
}

// picture is a plot with what it shows.
type picture struct {
	Title, Note string
	SVG         template.HTML
}

// series is a line of a plot.
type series struct {
	name   string
	points plotter.XYs
}

// drawLatency shows latencies second by second.
func (r *Result) drawLatency() (picture, error) {
	lines := []series{{name: "p50"}, {name: "p99"}, {name: "max"}}
	for _, s := range r.Timeline {
		for i, us := range [...]int64{s.P50, s.P99, s.Max} {
			lines[i].points = append(lines[i].points, plotter.XY{X: s.At, Y: math.Max(0.001, float64(us)/1000)})
		}
	}
	p, err := draw("seconds", "ms", true, lines)
	return picture{"Latency", "From when a tick was due until a subscriber had it, second by second, on a logarithmic scale.", p}, err
}

// drawThroughput shows what was delivered, second by second.
func (r *Result) drawThroughput() (picture, error) {
	line := series{name: "delivered"}
	for _, s := range r.Timeline {
		line.points = append(line.points, plotter.XY{X: s.At, Y: s.UpdatesPS})
	}
	p, err := draw("seconds", "updates/s", false, []series{line})
	return picture{"Throughput", "Updates that all subscribers together received.", p}, err
}

// drawDistribution shows the latency against the share of updates that had more.
func (r *Result) drawDistribution() (picture, error) {
	line := series{name: "latency"}
	for _, d := range r.Distribution {
		if d.Quantile < 100 {
			line.points = append(line.points, plotter.XY{X: -math.Log10(1 - d.Quantile/100), Y: math.Max(0.001, float64(d.US)/1000)})
		}
	}
	p, err := draw("nines: 1 is p90, 2 is p99, 3 is p99.9", "ms", true, []series{line})
	return picture{"Distribution", "Latency by percentile, over all that was measured.", p}, err
}

// drawMemory shows the nodes' memory.
func (r *Result) drawMemory() (picture, error) {
	line := series{name: "RSS"}
	for _, s := range r.rss {
		line.points = append(line.points, plotter.XY{X: s.at.Sub(r.rss[0].at).Seconds(), Y: float64(s.rss) / (1 << 20)})
	}
	p, err := draw("seconds", "MB", false, []series{line})
	return picture{"Memory", "Resident memory of all nodes.", p}, err
}

// draw makes an SVG; empty when there is too little to show.
func draw(x, y string, logarithmic bool, lines []series) (template.HTML, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.Legend.Top = true
	if logarithmic {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	} else {
		p.Y.Min = 0
	}
	p.Add(plotter.NewGrid())
	for i, s := range lines {
		if len(s.points) < 2 {
			return "", nil
		}
		line, err := plotter.NewLine(s.points)
		if err != nil {
			return "", err
		}
		line.Color, line.Width = palette[i%len(palette)], vg.Points(1.6)
		p.Add(line)
		if len(lines) > 1 {
			p.Legend.Add(s.name, line)
		}
	}
	c := vgsvg.New(18*vg.Centimeter, 7*vg.Centimeter)
	p.Draw(vgdraw.New(c))
	var b strings.Builder
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	_, svg, _ := strings.Cut(b.String(), "<svg") // without the XML's heading
	return template.HTML("<svg" + svg), nil
}

// grouped is a number with its thousands apart.
func grouped(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
