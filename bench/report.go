package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"gonum.org/v1/plot/plotter"
)

//go:embed report.html
var reportPages string

// reports has a page for a Result and one for a Comparison, and what both share.
var reports = template.Must(template.New("").Funcs(template.FuncMap{"time": timeOf, "n": grouped, "kb": func(bytes int64) string { return plain(float64(bytes)/1024) + " KB" }}).Parse(reportPages))

// WriteHTML writes the report as a page that needs nothing else.
func (r *Result) WriteHTML(w io.Writer) error {
	var table strings.Builder
	r.Print(&table)
	page := struct {
		*Result
		Table string
		Plots []picture
	}{r, table.String(), nil}
	var err error
	page.Plots, err = drawn(r.drawSteps, r.drawRolling, r.drawLatency, r.drawThroughput, r.drawDistribution, r.drawMemory)
	if err == nil {
		err = reports.ExecuteTemplate(w, "result", page)
	}
	if err != nil {
		return fmt.Errorf("bench: report: %w", err)
	}
	return nil
}

func timeOf(us int64) string { return lasting(float64(us) / 1000) }

// drawn leaves out what has too little to show.
func drawn(draws ...func() ([]picture, error)) (all []picture, err error) {
	for _, draw := range draws {
		some, err := draw()
		if err != nil {
			return nil, err
		}
		for _, p := range some {
			if p.SVG != "" {
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// drawLatency shows latencies second by second.
func (r *Result) drawLatency() ([]picture, error) {
	lines := []series{{Name: "p50"}, {Name: "p99", Ink: 1}, {Name: "max", Ink: 2}}
	for _, s := range r.Timeline {
		if s.Max == 0 { // nothing came
			continue
		}
		for i, us := range [...]int64{s.P50, s.P99, s.Max} {
			lines[i].points = append(lines[i].points, plotter.XY{X: s.At, Y: inMS(us)})
		}
	}
	least, most := extent(lines)
	svg, err := draw(half, seconds(r.lastSecond()), logScale(least, most, lasting), lines)
	return []picture{{"Latency", "From when a tick was due until a subscriber had it, second by second. The scale is logarithmic.", lines, svg}}, err
}

// lastSecond is when the last second ends.
func (r *Result) lastSecond() float64 {
	if n := len(r.Timeline); n > 0 {
		return max(1, r.Timeline[n-1].At)
	}
	return 1
}

// drawThroughput shows what was delivered, second by second.
func (r *Result) drawThroughput() ([]picture, error) {
	line := series{}
	for _, s := range r.Timeline {
		line.points = append(line.points, plotter.XY{X: s.At, Y: s.UpdatesPS})
	}
	lines := []series{line}
	_, most := extent(lines)
	svg, err := draw(half, seconds(r.lastSecond()), linear(most, 5, short), lines)
	return []picture{{"Throughput", "Updates a second that all subscribers together received.", nil, svg}}, err
}

// drawDistribution shows all latencies.
func (r *Result) drawDistribution() ([]picture, error) {
	p, err := drawDistributions(half, "Latency distribution", "Latency by percentile, over all that was measured. The scale is logarithmic.", make([]series, 1), [][]Percent{r.Distribution})
	return []picture{p}, err
}

// drawMemory shows the nodes' memory.
func (r *Result) drawMemory() ([]picture, error) {
	line := series{}
	for _, s := range r.rss {
		line.points = append(line.points, plotter.XY{X: s.at.Sub(r.rss[0].at).Seconds(), Y: float64(s.rss) / (1 << 20)})
	}
	lines := []series{line}
	_, most := extent(lines)
	if most == 0 { // of nodes that nobody looks into
		return nil, nil
	}
	to := 1.0
	if n := len(line.points); n > 0 {
		to = max(1, line.points[n-1].X)
	}
	svg, err := draw(half, seconds(to), linear(most, 5, func(v float64) string { return plain(v) + " MB" }), lines)
	return []picture{{"Memory", "Resident memory of all nodes.", nil, svg}}, err
}
