package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Comparison is several systems under the same load, as --report-json prints it.
type Comparison struct {
	Load    string   `json:"load"`
	Conns   int      `json:"conns"`
	Subs    int      `json:"subs_per_conn"`
	Symbols int      `json:"symbols"`
	Offered float64  `json:"offered_updates_per_s"`
	Seconds float64  `json:"measured_s"` // of each run
	Runs    int      `json:"runs"`
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

// columns are the table's figures.
var columns = []struct {
	head   string
	digits int
	of     func(r *Result) float64
}{
	{"us/update", 2, func(r *Result) float64 { return r.CPUPerUpdUS }},
	{"us/message", 2, func(r *Result) float64 { return r.CPUPerMsgUS }},
	{"updates/s", 0, func(r *Result) float64 { return r.UpdatesPS }},
	{"p50 ms", 2, func(r *Result) float64 { return float64(r.LatencyUS.P50) / 1000 }},
	{"p99 ms", 2, func(r *Result) float64 { return float64(r.LatencyUS.P99) / 1000 }},
	{"cores", 2, func(r *Result) float64 { return r.ServerCPU }},
	{"KB/conn", 1, func(r *Result) float64 { return float64(r.RSSPerConn) / 1024 }},
}

// deliveries is how many updates a second there are for all subscribers together.
func (c *Comparison) deliveries() float64 {
	return c.Offered * float64(c.Conns) * float64(c.Subs) / float64(c.Symbols)
}

// Print writes a table, a system a line: the median of its runs, and their least and
// most where they are several.
func (c *Comparison) Print(w io.Writer) {
	fmt.Fprintf(w, "%s load: %d subscribers x %d of %d symbols, %.0f updates/s, which is %.0f deliveries/s; %.0f s, %d run(s); %s\n",
		c.Load, c.Conns, c.Subs, c.Symbols, c.Offered, c.deliveries(), c.Seconds, c.Runs, c.Machine)
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
}

// spread is the median of a figure, and its least and most.
func (s *System) spread(digits int, of func(r *Result) float64) string {
	var all []float64
	for _, r := range s.Runs {
		if r.Seconds > 0 {
			all = append(all, of(r))
		}
	}
	slices.Sort(all)
	n := len(all)
	switch n {
	case 0:
		return "-"
	case 1:
		return fmt.Sprintf("%.*f", digits, all[0])
	}
	return fmt.Sprintf("%.*f (%.*f..%.*f)", digits, (all[(n-1)/2]+all[n/2])/2, digits, all[0], digits, all[n-1])
}

// behind is the share of the deliveries below which a system has not kept up; storms
// move the figure by a few in a hundred.
const behind = 0.9

// verdict says whether all was right, or what was lost, in all runs together.
func (s *System) verdict(deliveries float64) string {
	if s.Missing != "" {
		return "not run: " + s.Missing
	}
	if len(s.Runs) == 0 {
		return "not run: the comparison broke off"
	}
	var said []string
	var closed, missed, verified int
	merged, share, busy := 0.0, 1.0, false
	for _, r := range s.Runs {
		missed += int(r.Missed)
		merged = max(merged, r.Conflation.Ratio)
		if r.Seconds > 0 {
			share = min(share, r.UpdatesPS/(1-r.Conflation.Ratio)/deliveries)
		}
		busy = busy || r.Saturated
		for _, n := range r.Lost {
			closed += int(n)
		}
		if r.Verified {
			verified++
		} else if n := len(r.Problems); n > 0 && r.Missed == 0 {
			said = append(said, r.Problems[n-1])
		}
	}
	if verified > 0 {
		said = append(said, fmt.Sprintf("verified %d of %d", verified, len(s.Runs)))
	}
	if share < behind {
		said = append(said, fmt.Sprintf("did not keep up: %.0f %%", 100*share))
	}
	if missed > 0 {
		said = append(said, fmt.Sprintf("%d updates lost", missed))
	}
	if closed > 0 {
		said = append(said, fmt.Sprintf("%d connections lost", closed))
	}
	if merged > 0 {
		said = append(said, fmt.Sprintf("%.2f %% merged", 100*merged))
	}
	if busy {
		said = append(said, "the harness was the bottleneck")
	}
	return strings.Join(said, ", ")
}
