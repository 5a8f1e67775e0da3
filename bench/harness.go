package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"time"
)

// run is a run under way.
type run struct {
	cfg   *Config
	stand *stand
	crew  *crew
	procs []*proc // that must live while it lasts
	res   *Result
	tick  *ticker
	idle  usage // of the nodes without subscribers
}

// warmUp is what passes between the last subscriber and the first count.
const warmUp = 2 * time.Second

var errRamp = errors.New("subscribers did not all come up in time")

// Run makes a run and returns its result. One that breaks off returns what was
// measured so far, marked partial, beside the error.
func Run(ctx context.Context, cfg Config, progress io.Writer) (*Result, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return scenarios[cfg.Scenario].run(ctx, &cfg, newTicker(progress))
}

// single is the scenarios that are one run on a stand of their own, with something
// happening while it is measured.
func single(ctx context.Context, cfg *Config, tick *ticker, meanwhile func(context.Context, *run) error) (*Result, error) {
	s, err := newStand(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	symbols, err := s.symbols()
	if err == nil && len(symbols) < cfg.Symbols {
		err = fmt.Errorf("bench: the node has %d symbols of %d", len(symbols), cfg.Symbols)
	}
	if err != nil {
		return nil, err
	}
	r, err := newRun(s, &Load{Nodes: s.addrs, Redis: s.redis, Symbols: symbols}, tick)
	if err != nil {
		return nil, err
	}
	defer r.crew.close()
	err = r.phases(ctx, meanwhile)
	r.res.finish(r.crew)
	if err == nil && cfg.Floor && r.res.MessagesPS > 0 {
		r.crew.close()
		r.stand.stopNodes()
		tick.say("floor: the same subscribers on a bare loop")
		err = r.stand.floor(ctx, r.res)
	}
	if err != nil {
		r.res.Partial, r.res.Verified = true, false
	}
	return r.res, err
}

// newRun begins what measures: workers for all subscribers, whose load says the rest.
func newRun(s *stand, like *Load, tick *ticker) (*run, error) {
	r := &run{cfg: s.cfg, stand: s, res: newResult(s.cfg, s), tick: tick, idle: s.serverUsed()}
	var err error
	if r.crew, err = newCrew(s, like); err != nil {
		r.crew.close()
		return nil, err
	}
	r.procs = append(s.procs[:len(s.procs):len(s.procs)], r.crew.procs...)
	return r, nil
}

// phases takes a run through its phases: everybody up, measured, the last word.
func (r *run) phases(ctx context.Context, meanwhile func(context.Context, *run) error) error {
	began := time.Now()
	if err := r.ready(ctx); err != nil {
		return err
	}
	r.res.RampSeconds = time.Since(began).Seconds()
	if err := pauseAll(ctx, r.procs, warmUp); err != nil {
		return err
	}
	if err := r.measure(ctx, meanwhile); err != nil {
		return err
	}
	return r.settle(ctx)
}

// ready waits until every subscriber has all its images.
func (r *run) ready(ctx context.Context) error {
	most, began := r.cfg.rampMost(), time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, most, errRamp)
	defer cancel()
	return wait(ctx, "subscribers", r.procs, func() bool {
		now := r.crew.sum()
		r.tick.line("ramp", began, most, &now)
		return now.Ready >= r.cfg.Conns
	})
}

// measure counts for as long as the run lasts.
func (r *run) measure(ctx context.Context, meanwhile func(context.Context, *run) error) error {
	if err := r.crew.order(orderMeasure); err != nil {
		return err
	}
	began, before, own := time.Now(), r.stand.serverUsed(), r.crew.used()
	during, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	if meanwhile != nil {
		go func() { done <- meanwhile(during, r) }()
	} else {
		done <- nil
	}
	end := began.Add(r.cfg.Duration)
	err := wait(ctx, "the end", r.procs, func() bool {
		now := r.crew.sum()
		r.tick.line("measure", began, r.cfg.Duration, &now)
		r.res.sample(r.stand)
		return !time.Now().Before(end)
	})
	after, passed, ownAfter := r.stand.serverUsed(), time.Since(began), r.crew.used()
	stop()
	if other := <-done; err == nil {
		err = other
	}
	if err == nil {
		if err = r.crew.order(orderStop); err == nil {
			err = wait(ctx, "reports", r.procs, func() bool { _, _, ok := r.crew.measured(); return ok })
		}
	}
	sum, h, _ := r.crew.measured()
	r.res.measured(passed, &sum, h, after.cpu-before.cpu, ownAfter-own)
	r.res.memory(after.rss-r.idle.rss, after.rss)
	return err
}

// settle ends the feed, and waits until all have its last word.
func (r *run) settle(ctx context.Context) error {
	r.stand.feed.stop(syscall.SIGTERM, 5*time.Second)
	if err := r.crew.order(orderSettle); err != nil {
		return err
	}
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, settleMost+10*time.Second, errors.New("workers do not report"))
	defer cancel()
	return wait(ctx, "the last word", r.stand.nodes, func() bool {
		now := r.crew.sum()
		r.tick.line("settle", began, settleMost, &now)
		return now.Kind == theLast
	})
}

// pauseAll waits while every process lives.
func pauseAll(ctx context.Context, procs []*proc, d time.Duration) error {
	end := time.Now().Add(d)
	return wait(ctx, "a moment", procs, func() bool { return !time.Now().Before(end) })
}

var machine = fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
