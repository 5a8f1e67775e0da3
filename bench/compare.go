package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Comparison is several systems under the same load, as --json prints it.
type Comparison struct {
	Load    string   `json:"load"`
	Conns   int      `json:"conns"`
	Subs    int      `json:"subs_per_conn"`
	Symbols int      `json:"symbols"`
	Offered float64  `json:"offered_updates_per_s"`
	Seconds float64  `json:"measured_s"` // of each run
	Runs    int      `json:"runs"`
	Partial bool     `json:"partial"` // the comparison broke off
	Machine string   `json:"machine"`
	Systems []System `json:"systems"`
}

// System is one of them, and its runs.
type System struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Missing string    `json:"missing,omitempty"` // why it was not run
	Runs    []*Result `json:"runs"`
}

// Verified reports whether every run of a system was.
func (c *Comparison) Verified(system string) bool {
	for _, s := range c.Systems {
		if s.Name == system {
			return len(s.Runs) > 0 && !slices.ContainsFunc(s.Runs, func(r *Result) bool { return !r.Verified })
		}
	}
	return true
}

// column is a figure of the table.
type column struct {
	head   string
	digits int
	of     func(r *Result) float64
}

var columns = []column{
	{"us/update", 2, func(r *Result) float64 { return r.CPUPerUpdUS }},
	{"us/message", 2, func(r *Result) float64 { return r.CPUPerMsgUS }},
	{"updates/s", 0, func(r *Result) float64 { return r.UpdatesPS }},
	{"p50 ms", 2, func(r *Result) float64 { return float64(r.LatencyUS.P50) / 1000 }},
	{"p99 ms", 2, func(r *Result) float64 { return float64(r.LatencyUS.P99) / 1000 }},
	{"cores", 2, func(r *Result) float64 { return r.ServerCPU }},
	{"KB/conn", 1, func(r *Result) float64 { return float64(r.RSSPerConn) / 1024 }},
	{"RSS MB", 0, func(r *Result) float64 { return float64(r.RSS) / (1 << 20) }},
}

// deliveries is how many updates a second there are for all subscribers together.
func (c *Comparison) deliveries() float64 {
	return ratio(c.Offered*float64(c.Conns)*float64(c.Subs), float64(c.Symbols))
}

// Print writes a table, a system a line: the median of its runs, and their least and
// most where they are several.
func (c *Comparison) Print(w io.Writer) {
	fmt.Fprintf(w, "%s load: %d subscribers x %d of %d symbols, %.0f updates/s, which is %.0f deliveries/s; %.0f s, %d run(s); %s\n",
		c.Load, c.Conns, c.Subs, c.Symbols, c.Offered, c.deliveries(), c.Seconds, c.Runs, c.Machine)
	if c.Partial {
		fmt.Fprintln(w, "partial: the comparison broke off")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "system")
	for _, col := range columns {
		fmt.Fprintf(t, "\t%s", col.head)
	}
	fmt.Fprintln(t, "\tresult")
	for i := range c.Systems {
		s := &c.Systems[i]
		fmt.Fprint(t, strings.TrimSpace(s.Name+" "+s.Version))
		for _, col := range columns {
			fmt.Fprintf(t, "\t%s", s.spread(col.digits, col.of))
		}
		fmt.Fprintf(t, "\t%s\n", s.verdict(c.deliveries()))
	}
	t.Flush()
	if i := slices.IndexFunc(c.Systems, func(s System) bool { return s.Name == self }); i >= 0 {
		fmt.Fprintf(w, "floor: %s us a write, of a bare loop at the pace of %s\n", c.Systems[i].spread(2, func(r *Result) float64 { return r.FloorUS }), self)
	}
}

// figures are a figure's of all runs that were measured, least first.
func (s *System) figures(of func(r *Result) float64) (all []float64) {
	for _, r := range s.Runs {
		if r.Seconds > 0 {
			all = append(all, of(r))
		}
	}
	slices.Sort(all)
	return all
}

// median is of sorted figures.
func median(all []float64) float64 {
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

// spread is the median of a figure, and its least and most.
func (s *System) spread(digits int, of func(r *Result) float64) string {
	all := s.figures(of)
	n := len(all)
	switch {
	case n == 0 || all[n-1] == 0:
		return "-"
	case n == 1:
		return fmt.Sprintf("%.*f", digits, all[0])
	}
	return fmt.Sprintf("%.*f (%.*f..%.*f)", digits, median(all), digits, all[0], digits, all[n-1])
}

// keptUp is the share of the deliveries below which a system has not kept up; storms
// move the figure by a few in a hundred.
const keptUp = 0.9

// judgement is what all runs of a system together were worth.
type judgement struct {
	runs, verified int
	missed, closed int
	share, merged  float64 // the least of what was asked for, and the most
	busy           bool
	problems       []string // of runs that lost nothing, and are still not verified
}

func (s *System) judge(deliveries float64) *judgement {
	j := &judgement{runs: len(s.Runs), share: 1}
	for _, r := range s.Runs {
		j.missed += int(r.Missed)
		j.merged = max(j.merged, r.Conflation.Ratio)
		if r.Seconds > 0 {
			j.share = min(j.share, r.UpdatesPS/(1-r.Conflation.Ratio)/deliveries)
		}
		j.busy = j.busy || r.Saturated
		for _, n := range r.Lost {
			j.closed += int(n)
		}
		if r.Verified {
			j.verified++
		} else if len(r.Problems) > 0 && r.Missed == 0 {
			j.problems = append(j.problems, r.Problems[0])
		}
	}
	return j
}

// losses are what makes the figures of a system no match for those of one that did all.
func (j *judgement) losses() (said []string) {
	if j.share < keptUp {
		said = append(said, fmt.Sprintf("did not keep up: %.0f %%", 100*j.share))
	}
	if j.missed > 0 {
		said = append(said, fmt.Sprintf("%d updates lost", j.missed))
	}
	if j.closed > 0 {
		said = append(said, fmt.Sprintf("%d connections lost", j.closed))
	}
	return said
}

// absent says why there are no runs.
func (s *System) absent() string {
	switch {
	case s.Missing != "":
		return "not run: " + s.Missing
	case len(s.Runs) == 0:
		return "not run: the comparison broke off"
	}
	return ""
}

// verdict says whether all was right, or what was lost, in all runs together.
func (s *System) verdict(deliveries float64) string {
	if why := s.absent(); why != "" {
		return why
	}
	j := s.judge(deliveries)
	said := j.problems[:min(1, len(j.problems))]
	if j.verified > 0 {
		said = append(said, fmt.Sprintf("verified %d of %d", j.verified, j.runs))
	}
	said = append(said, j.losses()...)
	if j.merged > 0 {
		said = append(said, fmt.Sprintf("%.2f %% merged", 100*j.merged))
	}
	if j.busy {
		said = append(said, "the harness was the bottleneck")
	}
	return strings.Join(said, ", ")
}
