package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// transport is a way for updates from who publishes them to a board.
type transport struct {
	name   string
	gather time.Duration // of the tape
	as     string        // how a TapeWriter writes; "": they are on the tape, by a feed
}

// transports are the tape, and what could be taken instead.
var transports = []transport{
	{name: self},
	{name: "tickwire --gather 1ms", gather: time.Millisecond},
	{name: "tickwire --gather 5ms", gather: 5 * time.Millisecond},
	{name: "tickwire --gather 20ms", gather: 20 * time.Millisecond},
	{name: "PUBLISH of each update", as: asPublish},
	{name: "XADD of each update", as: asXAdd},
}

// TapeReport is what updates cost on their way from feed to board, on the tape and otherwise,
// as --json prints it.
type TapeReport struct {
	Partial bool   `json:"partial"` // it broke off
	Problem string `json:"problem"` // why

	At      time.Time `json:"at"` // when it began
	Version string    `json:"version"`
	Machine string    `json:"machine"`
	Store   string    `json:"store"`
	Symbols int       `json:"symbols"`
	Seconds float64   `json:"measured_s"` // of each run

	Runs    []TapeRun   `json:"runs"`
	Entries []EntryCost `json:"entries"`
	IdleUS  float64     `json:"idle_redis_us_per_s"` // CPU of a Redis that is asked nothing
	CPU     perEntry    `json:"redis_us"`            // what Redis's CPU time is made of
	Out     perEntry    `json:"out_bytes"`           // and what it sends
	Demands []Demand    `json:"demands"`
}

// tapeBench is a TapeReport under way.
type tapeBench struct {
	cfg        *Config
	tick       *ticker
	report     *TapeReport
	transports []transport
	fills      []int // updates of an entry, to find what it costs
	readers    []int // of an entry

	redisCPUs, otherCPUs []int // none: all
}

func newTapeBench(cfg *Config, progress io.Writer) *tapeBench {
	return &tapeBench{
		cfg: cfg, tick: newTicker(progress), transports: transports, fills: []int{1, 10, 100}, readers: []int{0, 1, 4, 16},
		report: &TapeReport{At: time.Now(), Version: cfg.Version, Machine: machine, Symbols: cfg.Symbols, Seconds: cfg.Duration.Seconds()},
	}
}

// The rates that are offered: the first ones to all transports, and then on and on to those
// that have kept up.
var tapeRates = []float64{1000, 10_000, 100_000}

// demandedNodes are those that a Redis may have, and measuredNodes as many of them as fit on
// one machine beside it.
var demandedNodes = []int{1, measuredNodes, 100}

const measuredNodes = 10

// RunTape measures the tape. A report that breaks off has what was measured so far, and is
// returned beside the error.
func RunTape(ctx context.Context, cfg Config, progress io.Writer) (*TapeReport, error) {
	if err := cfg.Complete(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	b := newTapeBench(&cfg, progress)
	unpin, err := b.pin()
	if err != nil {
		return nil, err
	}
	defer unpin()
	return b.report, b.all(ctx)
}

// all goes through the parts of a report.
func (b *tapeBench) all(ctx context.Context) (err error) {
	for _, part := range []func(context.Context) error{b.compare, b.entries, b.nodes} {
		if err = part(ctx); err != nil {
			break
		}
	}
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	if err != nil {
		b.report.Partial, b.report.Problem = true, err.Error()
	}
	return err
}

// rates are those that every transport is offered.
func (b *tapeBench) rates() []float64 {
	if b.cfg.Updates > 0 {
		return []float64{b.cfg.Updates}
	}
	return tapeRates
}

// compare offers every transport the same, more and more of it until it does not keep up.
func (b *tapeBench) compare(ctx context.Context) error {
	going := b.transports
	for i, rate := 0, 0.0; len(going) > 0; i++ {
		switch rates := b.rates(); { // the next
		case i < len(rates):
			rate = rates[i]
		case b.cfg.Updates > 0 || 2*rate > searchMost:
			return nil
		default:
			rate *= 2
		}
		var kept []transport
		for _, t := range going {
			run, err := b.run(ctx, t, rate, 1)
			if err != nil {
				return err
			}
			if run.Limit == "" {
				kept = append(kept, t)
			}
		}
		going = kept
	}
	return nil
}

// nodes measures all with more readers, and calculates what so many and more ask of Redis by
// the tape.
func (b *tapeBench) nodes(ctx context.Context) error {
	b.report.fit()
	for _, rate := range b.rates() {
		b.report.demandSingly(rate)
		for _, t := range b.transports {
			if one := b.report.find(t.name, rate, 1); one == nil || one.Limit != "" || t.gather == time.Millisecond {
				continue
			}
			if _, err := b.run(ctx, t, rate, measuredNodes); err != nil {
				return err
			}
			b.report.demand(t, rate)
		}
	}
	return nil
}

// find is the run of a transport at a rate; nil when there is none.
func (r *TapeReport) find(name string, rate float64, nodes int) *TapeRun {
	i := slices.IndexFunc(r.Runs, func(run TapeRun) bool { return run.Transport == name && run.Offered == rate && run.Nodes == nodes })
	if i < 0 {
		return nil
	}
	return &r.Runs[i]
}

// Failed reports whether the report, or a run of ours in it, broke off.
func (r *TapeReport) Failed() bool {
	return r.Partial || slices.ContainsFunc(r.Runs, func(run TapeRun) bool { return run.tape() && run.Problem != "" })
}

// completeTape fills in what is missing, and refuses what is of subscribers: there are none.
func (cfg *Config) completeTape() error {
	load := cfg.Load != "" || cfg.Conns != 0 || cfg.Subs != 0 || cfg.Zipf != 0 || cfg.Rate != 0 || cfg.Slow != 0 || cfg.Churn != 0 || cfg.SlowBytes != 0
	market := cfg.Stormy || cfg.Burst != 0 || cfg.Of != "" || len(cfg.Values) > 0
	nodes := cfg.Nodes > 1 || cfg.TLS || cfg.Tokens || cfg.ResumeTLS || cfg.Pace != nil || cfg.Encoding == "json" || len(cfg.URL) > 0 || len(cfg.NodeMetrics) > 0 || cfg.CA+cfg.Cert+cfg.Key+cfg.Token != ""
	switch {
	case load || market || nodes:
		return errors.New("bench tape has no nodes and no subscribers: --updates, --symbols, --duration, --redis, --seed and --json go with it")
	case cfg.Report != "":
		return errors.New("bench tape writes no page: leave out --report, or take --json")
	case cfg.Updates < 0 || cfg.Updates > searchMost || cfg.Updates != cfg.Updates:
		return errors.New("--updates is above 0, and 10 million at most; without it, bench tape goes through several rates")
	case cfg.Symbols < 0 || cfg.Symbols > tapeSymbolsMax:
		return fmt.Errorf("--symbols is from 1 to %d", tapeSymbolsMax)
	case cfg.Duration != 0 && cfg.Duration < time.Second:
		return errors.New("--duration is at least 1s")
	}
	if cfg.Symbols == 0 {
		cfg.Symbols = loads["sparse"].symbols
	}
	if cfg.Duration == 0 {
		cfg.Duration = 5 * time.Second
	}
	cfg.complete = true
	return nil
}

// tapeSymbolsMax bounds what a TapeWriter and the board hold.
const tapeSymbolsMax = 1_000_000
