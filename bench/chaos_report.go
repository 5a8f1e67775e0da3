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

// Ordeal is a chaos run's report, as --json prints it.
type Ordeal struct {
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

	UpSeconds   float64          `json:"up_s"` // until all subscribers had come up
	Seconds     float64          `json:"seconds"`
	Kinds       []Kind           `json:"kinds"`
	Misfortunes []Misfortune     `json:"misfortunes"` // in order
	Updates     int64            `json:"updates"`     // that subscribers received
	Connects    int64            `json:"connects"`
	Left        int64            `json:"left"` // connections that subscribers ended, to go elsewhere
	Lost        int64            `json:"lost"` // and that were ended for them
	Gaps        int64            `json:"gaps"` // updates that were flagged so
	Histories   int              `json:"histories"`
	Holes       int64            `json:"holes"` // of the tape, as the run read it itself
	Checked     int64            `json:"checked"`
	Unproved    int64            `json:"unproved"`
	FeedEnds    int              `json:"feed_ends"` // feeds that ended by themselves
	Anew        int              `json:"redis_anew"`
	Wrongs      map[string]int64 `json:"wrongs"`
	Examples    []string         `json:"examples"`
	Words       string           `json:"words"` // where that is which the processes said
}

// Misfortune is a fault that struck.
type Misfortune struct {
	At       float64  `json:"at_s"`
	Kind     string   `json:"kind"`
	What     string   `json:"what"`
	Seconds  float64  `json:"seconds"` // from when it struck until all had recovered
	Recovery float64  `json:"recovery_s"`
	Survived bool     `json:"survived"`
	Lacking  []string `json:"lacking"` // when the time was over
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

func newOrdeal(s *chaosStand) *Ordeal {
	cfg := s.cfg
	return &Ordeal{
		Problems: []string{}, At: time.Now().UTC().Truncate(time.Second), Version: cfg.Version, Machine: machine, Seed: cfg.Seed, Conns: cfg.Conns,
		Subs: chaosSubs, Symbols: chaosSymbols, Feeds: len(s.feeds), Nodes: len(s.nodes), Streams: len(s.streams),
	}
}

func (o *Ordeal) add(m Misfortune) {
	o.Misfortunes = append(o.Misfortunes, m)
	if !m.Survived {
		o.Problems = append(o.Problems, fmt.Sprintf("at %.1f s: %s: %s: not recovered after %v: %s", m.At, m.Kind, m.What, convergeWithin, strings.Join(m.Lacking, "; ")))
	}
}

// finish adds up the run, which err broke off unless it is nil.
func (o *Ordeal) finish(c *chaos, err error) {
	o.Seconds = c.at()
	var histories []int64
	o.Checked, o.Unproved, histories = c.ledger.sums()
	o.Histories = len(histories)
	o.Updates, o.Gaps = c.crowd.updates.Load(), c.crowd.gaps.Load()
	o.Connects, o.Left, o.Lost = c.crowd.connects.Load(), c.crowd.left.Load(), c.crowd.lost.Load()
	c.ledger.mu.Lock()
	o.Holes = c.ledger.holes
	c.ledger.mu.Unlock()
	c.stand.mu.Lock()
	o.FeedEnds = c.stand.ends
	c.stand.mu.Unlock()
	w := c.crowd.wrongs
	w.mu.Lock()
	o.Wrongs, o.Examples = maps.Clone(w.counts), slices.Clone(w.examples)
	w.mu.Unlock()
	o.Kinds = kinds(o.Misfortunes)
	for kind, n := range o.Wrongs {
		o.Problems = append(o.Problems, fmt.Sprintf("%d times: %s", n, kind))
	}
	if err != nil {
		o.Partial = true
		o.Problems = append(o.Problems, err.Error())
	}
	o.Survived = len(o.Problems) == 0
	if o.Failed() || o.Partial && err != errInterrupted {
		if o.Words, err = c.stand.keepWords(); err != nil {
			o.Problems = append(o.Problems, err.Error())
		}
	}
}

// Failed reports whether anything was wrong, but for being interrupted.
func (o *Ordeal) Failed() bool {
	return len(o.Wrongs) > 0 || slices.ContainsFunc(o.Misfortunes, func(m Misfortune) bool { return !m.Survived })
}

// kinds adds up misfortunes by their kind.
func kinds(all []Misfortune) (kinds []Kind) {
	times := make(map[string][]float64)
	for _, m := range all {
		i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Kind == m.Kind })
		if i < 0 {
			i, kinds = len(kinds), append(kinds, Kind{Kind: m.Kind})
		}
		if kinds[i].Injected++; m.Survived {
			kinds[i].Survived++
			times[m.Kind] = append(times[m.Kind], m.Recovery)
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
func (o *Ordeal) Print(w io.Writer) {
	verdict := fmt.Sprintf("SURVIVED %d faults", len(o.Misfortunes))
	if !o.Survived {
		verdict = "FAILED"
	}
	if o.Partial && !o.Failed() {
		verdict = fmt.Sprintf("SURVIVED %d faults so far", len(o.Misfortunes))
	}
	if o.Partial {
		verdict += " (partial: the run broke off)"
	}
	fmt.Fprintln(w, verdict)
	for _, p := range o.Problems {
		fmt.Fprintln(w, "  "+p)
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-26s "+format+"\n", append([]any{name}, args...)...)
	}
	row("machine", "%s; %s; tickwire %s", o.Machine, o.At.Format(time.RFC3339), o.Version)
	row("stand", "%d feeds on %d streams, %d nodes, 2 redis-server and 3 Sentinels; seed %d", o.Feeds, o.Streams, o.Nodes, o.Seed)
	row("subscribers", "%d x %d of %d symbols, up in %.1f s", o.Conns, o.Subs, o.Symbols, o.UpSeconds)
	row("faults", "%d in %.0f s; seconds from the end of one until everybody was whole:", len(o.Misfortunes), o.Seconds)
	for _, k := range o.Kinds {
		fmt.Fprintf(w, "  %-38s %3d injected  %3d survived  p50 %5.2f  p99 %5.2f  max %5.2f\n", k.Kind, k.Injected, k.Survived, k.P50, k.P99, k.Max)
	}
	row("received", "%d updates, of which %d were flagged GAP", o.Updates, o.Gaps)
	row("connections", "%d: %d were lost, %d left to go elsewhere", o.Connects, o.Lost, o.Left)
	row("tape", "%d histories; %d entries that did not follow", o.Histories, o.Holes)
	row("verified", "%d distinct updates were what the tape has; of %d it was lost before it was read", o.Checked, o.Unproved)
	if o.FeedEnds > 0 {
		row("feeds", "%d times one ended, as it does when Redis is away as it begins", o.FeedEnds)
	}
	if o.Anew > 0 {
		row("Redis", "%d times it did not recover by itself, and was begun anew", o.Anew)
	}
	for _, example := range o.Examples {
		row("wrong", "%s", example)
	}
	if o.Words != "" {
		row("logs", "what the processes said is in %s", o.Words)
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
			fmt.Fprintf(c.tick.out, "\rchaos %4.0f of %.0f s  %d open  %d updates, %d wrong  %s \x1b[K", c.at(), c.cfg.Duration.Seconds(),
				open, c.crowd.updates.Load(), c.crowd.wrongs.sum(), c.what)
		}
		c.mu.Unlock()
	}
}
