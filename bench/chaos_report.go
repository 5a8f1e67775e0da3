package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// ChaosReport is a chaos run's report, as --json prints it.
type ChaosReport struct {
	Survived bool     `json:"survived"` // everybody recovered from every fault, and nobody was lied to
	Partial  bool     `json:"partial"`  // the run broke off
	Problems []string `json:"problems"` // why it is not survived

	At      time.Time `json:"at"`
	Version string    `json:"version"`
	Machine string    `json:"machine"`
	Seed    uint64    `json:"seed"`
	Conns   int       `json:"conns"`
	Subs    int       `json:"subs_per_conn"`
	Symbols int       `json:"symbols"`
	Feeds   int       `json:"feeds"`
	Nodes   int       `json:"nodes"`
	Streams int       `json:"streams"`

	UpSeconds  float64          `json:"up_s"` // until all subscribers had come up
	Seconds    float64          `json:"seconds"`
	Kinds      []Kind           `json:"kinds"`
	Faults     []Fault          `json:"faults"`  // in order
	Updates    int64            `json:"updates"` // that subscribers received
	Connects   int64            `json:"connects"`
	Left       int64            `json:"left"` // connections that subscribers ended, to go elsewhere
	Lost       int64            `json:"lost"` // and that were ended for them
	Gaps       int64            `json:"gaps"` // updates that were flagged so
	Histories  int              `json:"histories"`
	Holes      int64            `json:"holes"` // of the tape, as the run read it itself
	Checked    int64            `json:"checked"`
	Unproved   int64            `json:"unproved"`
	FeedEnds   int              `json:"feed_ends"` // feeds that ended by themselves
	Anew       int              `json:"redis_anew"`
	Violations map[string]int64 `json:"violations"`
	Examples   []string         `json:"examples"`
	Logs       string           `json:"logs"` // where the processes' logs are
}

// Fault is a fault that struck.
type Fault struct {
	At         float64  `json:"at_s"`
	Kind       string   `json:"kind"`
	What       string   `json:"what"`
	Seconds    float64  `json:"seconds"` // from when it struck until all had recovered
	Recovery   float64  `json:"recovery_s"`
	Survived   bool     `json:"survived"`
	Lacking    []string `json:"lacking"`    // when the time was over
	Violations int64    `json:"violations"` // that came since the fault before
}

// Kind is all faults of one kind. Recovery is from when a fault was over and Redis had a
// master, in seconds; of those that were survived.
type Kind struct {
	Kind     string  `json:"kind"`
	Injected int     `json:"injected"`
	Survived int     `json:"survived"`
	P50      float64 `json:"recovery_p50_s"`
	P99      float64 `json:"recovery_p99_s"`
	Max      float64 `json:"recovery_max_s"`
}

func newChaosReport(s *chaosStand) *ChaosReport {
	cfg := s.cfg
	return &ChaosReport{
		Problems: []string{}, At: time.Now().UTC().Truncate(time.Second), Version: cfg.Version, Machine: machine, Seed: cfg.Seed, Conns: cfg.Conns,
		Subs: chaosSubs, Symbols: chaosSymbols, Feeds: len(s.feeds), Nodes: len(s.nodes), Streams: len(s.streams),
	}
}

// add takes a fault that is over. There have been so many violations by now.
func (r *ChaosReport) add(f Fault, violations int64) {
	f.Violations = violations - r.noted()
	r.Faults = append(r.Faults, f)
	if f.Violations > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("at %.1f s: %s: %s: %d violations", f.At, f.Kind, f.What, f.Violations))
	}
	if !f.Survived {
		r.Problems = append(r.Problems, fmt.Sprintf("at %.1f s: %s: %s: not recovered after %v: %s", f.At, f.Kind, f.What, convergeWithin, strings.Join(f.Lacking, "; ")))
	}
}

// noted is how many violations came by the end of the newest fault.
func (r *ChaosReport) noted() (n int64) {
	for _, f := range r.Faults {
		n += f.Violations
	}
	return n
}

// finish adds up the run, which err broke off unless it is nil.
func (r *ChaosReport) finish(c *chaos, err error) {
	r.Seconds = c.at()
	var histories []int64
	r.Checked, r.Unproved, histories = c.ledger.sums()
	r.Histories = len(histories)
	r.Updates, r.Gaps = c.crowd.updates.Load(), c.crowd.gaps.Load()
	r.Connects, r.Left, r.Lost = c.crowd.connects.Load(), c.crowd.left.Load(), c.crowd.lost.Load()
	c.ledger.mu.Lock()
	r.Holes = c.ledger.holes
	c.ledger.mu.Unlock()
	c.stand.mu.Lock()
	r.FeedEnds = c.stand.ends
	c.stand.mu.Unlock()
	v := c.crowd.violations
	v.mu.Lock()
	r.Violations, r.Examples = maps.Clone(v.counts), slices.Clone(v.examples)
	v.mu.Unlock()
	r.Kinds = kinds(r.Faults)
	late := -r.noted()
	for _, kind := range slices.Sorted(maps.Keys(r.Violations)) {
		late += r.Violations[kind]
		r.Problems = append(r.Problems, fmt.Sprintf("%d times: %s", r.Violations[kind], kind))
	}
	if late > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("since the last fault that ended: %d violations", late))
	}
	if err != nil {
		r.Partial = true
		r.Problems = append(r.Problems, err.Error())
	}
	r.Survived = len(r.Problems) == 0
	if r.Failed() || r.Partial && err != errInterrupted {
		r.Logs = c.stand.keepLogs()
	}
}

// Failed reports whether anything was wrong, but for being interrupted.
func (r *ChaosReport) Failed() bool {
	return len(r.Violations) > 0 || slices.ContainsFunc(r.Faults, func(f Fault) bool { return !f.Survived })
}

// kinds adds up faults by kind.
func kinds(all []Fault) (kinds []Kind) {
	times := make(map[string][]float64)
	for _, f := range all {
		i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Kind == f.Kind })
		if i < 0 {
			i, kinds = len(kinds), append(kinds, Kind{Kind: f.Kind})
		}
		if kinds[i].Injected++; f.Survived {
			kinds[i].Survived++
			times[f.Kind] = append(times[f.Kind], f.Recovery)
		}
	}
	for i := range kinds {
		k, t := &kinds[i], times[kinds[i].Kind]
		if slices.Sort(t); len(t) > 0 {
			k.P50, k.P99, k.Max = t[(len(t)-1)/2], t[(len(t)*99+99)/100-1], t[len(t)-1]
		}
	}
	slices.SortFunc(kinds, func(a, b Kind) int { return strings.Compare(a.Kind, b.Kind) })
	return kinds
}

// Print writes the report as a table.
func (r *ChaosReport) Print(w io.Writer) {
	verdict := fmt.Sprintf("SURVIVED %d faults", len(r.Faults))
	if !r.Survived {
		verdict = "FAILED"
	}
	if r.Partial && !r.Failed() {
		verdict = fmt.Sprintf("SURVIVED %d faults so far", len(r.Faults))
	}
	row := printHead(w, verdict, r.Partial, r.Problems)
	row("machine", "%s; %s; tickwire %s", r.Machine, r.At.Format(time.RFC3339), r.Version)
	row("stand", "%d feeds on %d streams, %d nodes, 2 redis-server and 3 Sentinels; seed %d", r.Feeds, r.Streams, r.Nodes, r.Seed)
	row("subscribers", "%d x %d of %d symbols, up in %.1f s", r.Conns, r.Subs, r.Symbols, r.UpSeconds)
	row("faults", "%d in %.0f s; seconds from the end of one until everybody was whole:", len(r.Faults), r.Seconds)
	for _, k := range r.Kinds {
		fmt.Fprintf(w, "  %-38s %3d injected  %3d survived  p50 %5.2f  p99 %5.2f  max %5.2f\n", k.Kind, k.Injected, k.Survived, k.P50, k.P99, k.Max)
	}
	row("received", "%d updates, of which %d were flagged GAP", r.Updates, r.Gaps)
	row("connections", "%d: %d were lost, %d left to go elsewhere", r.Connects, r.Lost, r.Left)
	row("tape", "%d histories; %d entries that did not follow", r.Histories, r.Holes)
	row("verified", "%d distinct updates were what the tape has; of %d it was lost before it was read", r.Checked, r.Unproved)
	if r.FeedEnds > 0 {
		row("feeds", "%d times one ended, as it does when Redis is away as it begins", r.FeedEnds)
	}
	if r.Anew > 0 {
		row("Redis", "%d times it did not recover by itself, and was begun anew", r.Anew)
	}
	for _, example := range r.Examples {
		row("violation", "%s", example)
	}
	if r.Logs != "" {
		row("logs", "those of the processes are in %s", r.Logs)
	}
}

// progress prints a line twice a second.
func (c *chaos) progress(ctx context.Context) {
	for sleep(ctx, 500*time.Millisecond) {
		open := 0
		for _, s := range c.subs {
			s.mu.Lock()
			if s.conn != nil {
				open++
			}
			s.mu.Unlock()
		}
		c.mu.Lock()
		if c.tick.out != nil {
			fmt.Fprintf(c.tick.out, "\rchaos %4.0f of %.0f s  %d open  %d updates, %d violations  %s \x1b[K", c.at(), c.cfg.Duration.Seconds(),
				open, c.crowd.updates.Load(), c.crowd.violations.sum(), c.what)
		}
		c.mu.Unlock()
	}
}
