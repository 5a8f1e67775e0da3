package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
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
	clock clock
	again func() // has everything published once more, for those that are sent no images
}

// clock notices that the wall clock, by which latencies are measured, was set.
type clock struct {
	now  func() (wall, passed time.Duration)
	last time.Duration // wall - passed
	set  time.Duration // by how much it was
}

// clockSet is what two clocks differ by when one was set; they are read one after the other.
const clockSet = 50 * time.Millisecond

func newClock() clock {
	start := time.Now()
	c := clock{now: func() (wall, passed time.Duration) {
		now := time.Now()
		return now.Round(0).Sub(start.Round(0)), now.Sub(start)
	}}
	return c
}

// look reads the clocks.
func (c *clock) look() {
	wall, passed := c.now()
	if d := wall - passed - c.last; d.Abs() > clockSet {
		c.set += d
	}
	c.last = wall - passed
}

// warmUp is what passes between the last subscriber and the first count.
const warmUp = 2 * time.Second

// Run makes a run and returns its result. One that breaks off returns what was
// measured so far, marked partial, beside the error.
func Run(ctx context.Context, cfg Config, progress io.Writer) (*Result, error) {
	if err := cfg.Complete(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	measure := scenarios[cfg.Scenario].run
	if measure == nil {
		return nil, fmt.Errorf("bench: %s has no subscribers: it is no run", cfg.Scenario)
	}
	res, err := measure(ctx, &cfg, newTicker(progress))
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
		if res != nil {
			res.breakOff(err)
		}
	}
	return res, err
}

var errInterrupted = errors.New("bench: interrupted")

// single is the scenarios that are one run on a stand of their own, with something
// happening while it is measured.
func single(ctx context.Context, cfg *Config, tick *ticker, meanwhile func(context.Context, *run) error) (*Result, error) {
	s, err := newStand(ctx, cfg, (*stand).begin)
	if err != nil {
		return nil, err
	}
	defer s.close()
	symbols, err := s.symbols(ctx)
	if err != nil {
		return nil, err
	}
	like := &Load{Nodes: s.endpoints, Redis: s.redis, Symbols: symbols, Token: cfg.Token, Live: s.feed == nil}
	if cfg.Tokens {
		like.Signs = cfg.Signs
	}
	if !cfg.Verify {
		like.Redis = ""
	}
	r, err := newRun(ctx, s, like, tick)
	if err != nil {
		return nil, err
	}
	defer r.crew.close()
	err = r.phases(ctx, meanwhile)
	r.res.finish(r.crew)
	if err == nil && cfg.Floor && r.res.MessagesPS > 0 && len(cfg.URL) == 0 {
		r.crew.close()
		r.stand.stopNodes()
		tick.say("floor: the same subscribers on a bare loop")
		if ferr := r.stand.floor(ctx, r.res); ferr != nil {
			r.res.NoFloor, err = ferr.Error(), ctx.Err()
		}
	}
	if err != nil {
		r.res.breakOff(err)
	}
	return r.res, err
}

// newRun begins what measures: workers for all subscribers, whose load says the rest.
func newRun(ctx context.Context, s *stand, like *Load, tick *ticker) (*run, error) {
	r := &run{cfg: s.cfg, stand: s, res: newResult(s.cfg, s), tick: tick, idle: s.serverUsed(ctx), clock: newClock()}
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
	r.res.ConnectUS = ratio(inUS(r.stand.serverUsed(ctx).cpu-r.idle.cpu), float64(r.cfg.Conns))
	if err := pauseAll(ctx, r.procs, warmUp); err != nil {
		return err
	}
	if err := r.measure(ctx, meanwhile); err != nil {
		return err
	}
	return r.settle(ctx)
}

// againEvery leaves time for what was published to arrive.
const againEvery = 3 * time.Second

// ready waits until every subscriber has all its images.
func (r *run) ready(ctx context.Context) error {
	began, asked := time.Now(), time.Now()
	return r.crew.up(ctx, r.cfg, r.procs, func(now *Report) {
		r.tick.line("ramp", began, r.cfg.rampTime(), now)
		if r.again != nil && now.Open == r.cfg.Conns && time.Since(asked) > againEvery {
			asked = time.Now()
			r.again()
		}
	})
}

// measure counts for as long as the run lasts.
func (r *run) measure(ctx context.Context, meanwhile func(context.Context, *run) error) error {
	if err := r.crew.order(orderMeasure); err != nil {
		return err
	}
	began, before, own := time.Now(), r.stand.serverUsed(ctx), r.used()
	during, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	if meanwhile != nil {
		go func() { done <- meanwhile(during, r) }()
	} else {
		done <- nil
	}
	end := began.Add(r.cfg.Duration)
	r.clock.look()
	r.clock.set = 0
	err := wait(ctx, "the end", r.procs, func() bool {
		now := r.crew.sum()
		r.tick.line("measure", began, r.cfg.Duration, &now)
		r.res.sample(ctx, r.stand)
		r.clock.look()
		return !time.Now().Before(end)
	})
	after, passed, ownAfter := r.stand.serverUsed(ctx), time.Since(began), r.used()
	stop()
	if other := <-done; err == nil {
		err = other
	}
	if err == nil {
		if err = r.crew.order(orderStop); err == nil {
			err = r.crew.report(ctx, r.procs)
		}
	}
	r.res.harness(passed, own, ownAfter)
	w := r.crew.measured()
	cpu := after.cpu - before.cpu
	if !w.whole { // a part of it
		said := max(0, time.UnixMicro(w.At).Sub(began))
		cpu, passed = time.Duration(float64(cpu)*ratio(said.Seconds(), passed.Seconds())), said
	}
	r.res.measured(passed, &w, cpu)
	r.res.memory(r.idle, after)
	r.res.unscraped = r.stand.unscraped
	if err == nil && r.clock.set != 0 {
		err = fmt.Errorf("bench: the machine's clock was set by %v meanwhile: latencies are not what they were; run it again", r.clock.set.Round(time.Millisecond))
	}
	return err
}

// used is the CPU time of everything but the nodes, of each process.
func (r *run) used() []time.Duration { return append(r.crew.used(), r.stand.besideUsed()...) }

// settle ends the feed, if it is ours, and waits until all have its last word.
func (r *run) settle(ctx context.Context) error {
	if r.stand.feed != nil {
		r.stand.feed.stop(syscall.SIGTERM, 5*time.Second)
	}
	if err := r.crew.order(orderSettle); err != nil {
		return err
	}
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, settleMost+10*time.Second, errors.New("workers do not report"))
	defer cancel()
	return wait(ctx, "the last word", slices.Concat(r.stand.nodes, r.crew.procs), func() bool {
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
