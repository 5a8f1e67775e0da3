package bench

import (
	"cmp"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
)

// chart is one figure of all systems: a bar each, the best first, and last those that
// did not do the work.
type chart struct {
	Title, Note string
	Bars        []bar
	Ticks       []mark
	Offered     *mark
	Absent      []absence
}

// bar is a system's; places are in percent of the axis.
type bar struct {
	Name, Version    string
	Self, Bad        bool
	Said             string // what its figure must be read with
	Value            string
	To               float64
	Least, Most, End float64 // of the whisker, and of both
	Whisker          bool
	figure           float64
}

// mark is a line across a chart.
type mark struct {
	At    float64
	Label string
}

// absence is a system without a figure, and why.
type absence struct{ Name, Why string }

// outcome is a system's line below the charts.
type outcome struct {
	Name, Version, Said string
	Self, Bad           bool
}

// chartColumns are the figures that have a chart, by their column of the table.
var chartColumns = []struct {
	head, title, note string
	most, logarithmic bool // the most is the best
	merged            bool // what was merged is told
	label, value      func(float64) string
}{
	{"us/update", "CPU an update", "The system's CPU time for an update that a subscriber received. Less is better.", false, false, true, micros, micros},
	{"updates/s", "Updates delivered", "A second, to all subscribers together; the dashed line is what was offered. More is better.", true, false, true, short, grouped},
	{"p99 ms", "Latency, p99", "From when an update was due until a subscriber had it. The scale is logarithmic. Less is better.", false, true, false, lasting, lasting},
	{"KB/conn", "Memory a connection", "Resident memory, beyond what the system has without a subscriber. Less is better.", false, false, false, kilobytes, kilobytes},
}

func micros(v float64) string    { return plain(v) + " us" }
func kilobytes(v float64) string { return plain(v) + " KB" }

// WriteHTML writes the comparison as a page that needs nothing else.
func (c *Comparison) WriteHTML(w io.Writer) error {
	var table strings.Builder
	c.Print(&table)
	page := struct {
		*Comparison
		Deliveries float64
		Short      bool // of runs
		Tickwire   *outcome
		Charts     []chart
		Plots      []picture
		Outcomes   []outcome
		Table      string
	}{Comparison: c, Deliveries: c.deliveries(), Table: table.String()}
	for i := range c.Systems {
		s := &c.Systems[i]
		page.Short = page.Short || s.Missing == "" && len(s.Runs) < c.Runs
		o := s.outcome(page.Deliveries)
		page.Outcomes = append(page.Outcomes, o)
		if o.Self {
			page.Tickwire = &o
		}
	}
	if slices.ContainsFunc(c.Systems, func(s System) bool { return len(s.delivered()) > 0 }) {
		for i := range chartColumns {
			if ch := c.chart(i); len(ch.Bars) > 0 {
				page.Charts = append(page.Charts, ch)
			}
		}
	}
	var err error
	if page.Plots, err = drawn(c.drawDistribution); err == nil {
		err = reports.ExecuteTemplate(w, "comparison", page)
	}
	if err != nil {
		return fmt.Errorf("bench: report: %w", err)
	}
	return nil
}

func (s *System) outcome(deliveries float64) outcome {
	j := s.judge(deliveries)
	return outcome{s.Name, s.Version, s.verdict(deliveries), s.Name == self, j.verified < max(1, j.runs) || len(j.losses()) > 0}
}

// delivered are the runs that have figures: who wants nothing has those of memory.
func (s *System) delivered() (runs []*Result) {
	for _, r := range s.Runs {
		if r.Seconds > 0 && (r.UpdatesPS > 0 || r.Subs == 0) {
			runs = append(runs, r)
		}
	}
	return runs
}

// without says why a system has no figure.
func (s *System) without() string {
	if why := s.absent(); why != "" {
		return why
	}
	if n := len(s.Runs[0].Problems); n > 0 {
		return s.Runs[0].Problems[n-1]
	}
	return "it delivered nothing"
}

// chart draws a figure; it has no bars when nobody has that figure.
func (c *Comparison) chart(i int) chart {
	of := chartColumns[i]
	col := columns[slices.IndexFunc(columns, func(col column) bool { return col.head == of.head })]
	out := chart{Title: of.title, Note: of.note}
	least, most := math.Inf(1), 0.0
	var all [][]float64
	for k := range c.Systems {
		s := &c.Systems[k]
		runs := s.delivered()
		if len(runs) == 0 {
			out.Absent = append(out.Absent, absence{strings.TrimSpace(s.Name + " " + s.Version), s.without()})
			continue
		}
		figures := (&System{Runs: runs}).figures(col.of)
		least, most = min(least, figures[0]), max(most, figures[len(figures)-1])
		out.Bars = append(out.Bars, s.bar(c.deliveries(), median(figures), of.merged))
		all = append(all, figures)
	}
	if most == 0 {
		return chart{}
	}
	if of.head == "updates/s" {
		most = max(most, c.deliveries())
	}
	axis := linear(most, 5, of.label)
	if of.logarithmic {
		axis = logScale(max(0.01, least/2), max(0.01, most), of.label)
	}
	for k := range out.Bars {
		out.Bars[k].place(&axis, all[k], of.value)
	}
	slices.SortStableFunc(out.Bars, func(a, b bar) int {
		if a.Bad != b.Bad {
			return cmp.Compare(btoi(a.Bad), btoi(b.Bad))
		}
		if of.most {
			a, b = b, a
		}
		return cmp.Compare(a.figure, b.figure)
	})
	for _, t := range axis.ticks(5) {
		out.Ticks = append(out.Ticks, tickMark(&axis, t))
	}
	if of.head == "updates/s" && c.deliveries() > 0 {
		out.Offered = &mark{100 * axis.at(c.deliveries()), grouped(c.deliveries()) + " offered"}
	}
	return out
}

func tickMark(axis *scale, t plot.Tick) mark { return mark{100 * axis.at(t.Value), t.Label} }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// bar has all that does not depend on the axis.
func (s *System) bar(deliveries, figure float64, merged bool) bar {
	j := s.judge(deliveries)
	said := j.losses()
	b := bar{Name: s.Name, Version: s.Version, Self: s.Name == self, figure: figure}
	if b.Bad = len(said) > 0 || j.verified < j.runs; b.Bad && len(said) == 0 {
		said = append(said, fmt.Sprintf("verified %d of %d", j.verified, j.runs))
	}
	if merged && j.merged > 0 {
		said = append(said, fmt.Sprintf("%.1f %% merged", 100*j.merged))
	}
	if j.busy {
		said = append(said, "the harness was the bottleneck")
	}
	b.Said = strings.Join(said, ", ")
	return b
}

// place finds where a bar and its whisker end.
func (b *bar) place(axis *scale, figures []float64, value func(float64) string) {
	b.Value = value(b.figure)
	b.To, b.Least, b.Most = 100*axis.at(b.figure), 100*axis.at(figures[0]), 100*axis.at(figures[len(figures)-1])
	b.Whisker = b.Most > b.Least
	b.End = max(b.To, b.Most)
}

// drawDistribution shows the latencies of every system's median run, by p99.
func (c *Comparison) drawDistribution() ([]picture, error) {
	var lines []series
	var all [][]Percent
	ink := 0
	for i := range c.Systems {
		s := &c.Systems[i]
		ink++
		runs := slices.DeleteFunc(s.delivered(), func(r *Result) bool { return r.LatencyUS.P99 == 0 || len(r.Distribution) == 0 })
		if len(runs) == 0 {
			continue
		}
		slices.SortFunc(runs, func(a, b *Result) int { return cmp.Compare(a.LatencyUS.P99, b.LatencyUS.P99) })
		line := series{Name: s.Name, Ink: 1 + (ink-1)%(inks-1), Dashed: len(s.judge(c.deliveries()).losses()) > 0}
		if s.Name == self {
			line.Ink, line.Heavy = 0, true
			ink--
		}
		lines, all = append(lines, line), append(all, runs[(len(runs)-1)/2].Distribution)
	}
	if len(lines) == 0 {
		return nil, nil
	}
	p, err := drawDistributions(full, "Latency distribution", "Latency by percentile, of each system's median run. The scale is logarithmic; a dashed line is of a system that did not keep up or lost something.", lines, all)
	return []picture{p}, err
}

// Style is where a mark is, for the page.
func (m mark) Style() template.CSS { return percent("left", m.At) }

func (b bar) ToStyle() template.CSS  { return percent("width", b.To) }
func (b bar) EndStyle() template.CSS { return percent("left", b.End) }
func (b bar) WhiskerStyle() template.CSS {
	return percent("left", b.Least) + percent("width", b.Most-b.Least)
}

func percent(property string, v float64) template.CSS {
	return template.CSS(fmt.Sprintf("%s:%.2f%%;", property, min(100, max(0, v))))
}
