package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// workerConns bounds the subscribers of a worker: a process has 20,000 descriptors.
	workerConns = 18_000
	warmUp      = 2 * time.Second
)

// crew is the workers of a run, and what they said last.
type crew struct {
	procs  []*proc
	orders []io.WriteCloser

	mu      sync.Mutex // protects what follows
	last    []Report   // by worker
	window  []Report   // likewise: what was measured
	seconds []second
}

// second is what all workers together said of a second.
type second struct {
	at        int64 // us since the Unix epoch
	said      int   // workers that have spoken of it
	updates   int64 // so far
	histogram *hdrhistogram.Histogram
}

// newCrew forks workers for all subscribers of a run, whose load says the rest.
func newCrew(s *stand, like *Load) (*crew, error) {
	cfg := s.cfg
	n := (cfg.Conns + workerConns - 1) / workerConns
	if len(s.otherCPUs) > 1 {
		n = max(n, min(len(s.otherCPUs)-1, cfg.Conns))
	}
	k := &crew{last: make([]Report, n), window: make([]Report, n)}
	for i := range n {
		first := cfg.Conns * i / n
		l := *like
		l.Conns, l.First, l.From, l.Ramp = cfg.Conns*(i+1)/n-first, first, i, cfg.Ramp/float64(n)
		l.Subs, l.Zipf, l.JSON, l.Rate = cfg.Subs, cfg.Zipf, cfg.JSON, cfg.Rate
		if err := k.fork(s, i, &l); err != nil {
			return k, err
		}
	}
	return k, nil
}

func (k *crew) fork(s *stand, i int, l *Load) error {
	in, orders := io.Pipe()
	out, said := io.Pipe()
	p, err := start(fmt.Sprintf("worker %d", i+1), s.otherCPUs, in, said, s.cfg.Exe, "bench-worker")
	if err != nil {
		return err
	}
	k.procs, k.orders = append(k.procs, p), append(k.orders, orders)
	go func() { <-p.gone; said.Close(); in.Close() }()
	go k.listen(i, out)
	line, err := json.Marshal(l)
	if err == nil {
		_, err = orders.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("bench: worker: %w", err)
	}
	return nil
}

// listen takes a worker's reports.
func (k *crew) listen(i int, out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r Report
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue
		}
		k.mu.Lock()
		k.last[i] = r
		switch r.Kind {
		case theWindow:
			k.window[i] = r
		case everySecond:
			k.note(&r)
		}
		k.mu.Unlock()
	}
}

// note adds a report to its second.
func (k *crew) note(r *Report) {
	h, err := hdrhistogram.Decode(r.Latency)
	if err != nil {
		return
	}
	at := r.At / 1_000_000 * 1_000_000
	i := len(k.seconds)
	for i > 0 && k.seconds[i-1].at > at {
		i--
	}
	if i == 0 || k.seconds[i-1].at != at {
		k.seconds = append(k.seconds, second{at: at, histogram: h})
		i = len(k.seconds)
	} else {
		k.seconds[i-1].histogram.Merge(h)
	}
	k.seconds[i-1].said++
	k.seconds[i-1].updates += r.Counts.Updates
}

// order tells all workers something.
func (k *crew) order(o order) error {
	for _, w := range k.orders {
		if _, err := io.WriteString(w, string(o)+"\n"); err != nil {
			return fmt.Errorf("bench: worker: %w", err)
		}
	}
	return nil
}

// sum adds up what the workers said last.
func (k *crew) sum() Report {
	k.mu.Lock()
	defer k.mu.Unlock()
	return add(k.last)
}

// add adds reports up; of their kinds it keeps the one they share.
func add(reports []Report) (r Report) {
	r.Counts, r.Kind = newCounts(), reports[0].Kind
	for i := range reports {
		one := &reports[i]
		r.Open += one.Open
		r.Ready += one.Ready
		r.CPU += one.CPU
		r.Pending += one.Pending
		r.Holes += one.Holes
		r.Subs += one.Subs
		r.Counts.add(&one.Counts)
		if one.Kind != r.Kind {
			r.Kind = ""
		}
	}
	return r
}

// measured is what was counted from measure to stop, and its latencies; false until
// all workers have said.
func (k *crew) measured() (sum Report, h *hdrhistogram.Histogram, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h = newHistogram()
	for i := range k.window {
		if one, err := hdrhistogram.Decode(k.window[i].Latency); err == nil && k.window[i].Kind == theWindow {
			h.Merge(one)
		}
	}
	sum = add(k.window)
	return sum, h, sum.Kind == theWindow
}

// used is the CPU time of the workers.
func (k *crew) used() (cpu time.Duration) {
	for _, p := range k.procs {
		cpu += p.used().cpu
	}
	return cpu
}

func (k *crew) close() {
	for _, w := range k.orders {
		w.Close()
	}
	for _, p := range k.procs {
		p.stop(syscall.SIGTERM, time.Second)
	}
	k.procs, k.orders = nil, nil
}

// Run makes a run and returns its result. One that fails midway returns what was
// measured so far, marked partial, beside the error.
func Run(ctx context.Context, cfg Config, progress io.Writer, log *slog.Logger) (*Result, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	s, err := newStand(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	symbols, err := s.symbols()
	if err != nil {
		return nil, err
	}
	if len(symbols) < cfg.Symbols {
		return nil, fmt.Errorf("bench: the node has %d symbols of %d", len(symbols), cfg.Symbols)
	}
	idle := s.serverUsed()
	k, err := newCrew(s, &Load{Nodes: s.addrs, Redis: s.redis, Symbols: symbols})
	defer k.close()
	if err != nil {
		return nil, err
	}
	res := newResult(&cfg, s)
	err = measure(ctx, s, k, res, idle, progress)
	res.finish(k)
	if err == nil {
		k.close()
		s.stopNodes()
		err = s.floor(ctx, res)
	}
	if err != nil {
		res.Partial, res.Verified = true, false
	}
	return res, err
}

var errRamp = errors.New("subscribers did not all come up in time")

// measure takes a run through its phases.
func measure(ctx context.Context, s *stand, k *crew, res *Result, idle usage, progress io.Writer) error {
	cfg, procs := s.cfg, append(s.procs[:len(s.procs):len(s.procs)], k.procs...)
	ramp := cfg.rampMost()
	up, cancel := context.WithTimeoutCause(ctx, ramp, errRamp)
	defer cancel()
	began := time.Now()
	tick := newTicker(progress)
	err := wait(up, "subscribers", procs, func() bool {
		now := k.sum()
		tick.line("ramp", began, ramp, &now)
		return now.Ready >= cfg.Conns
	})
	if err != nil {
		return err
	}
	res.RampSeconds = time.Since(began).Seconds()
	if err := pauseAll(ctx, procs, warmUp); err != nil {
		return err
	}
	if err := k.order(orderMeasure); err != nil {
		return err
	}
	began, before, own := time.Now(), s.serverUsed(), k.used()
	end := began.Add(cfg.Duration)
	err = wait(ctx, "the end", procs, func() bool {
		now := k.sum()
		tick.line("measure", began, cfg.Duration, &now)
		return !time.Now().Before(end)
	})
	after, passed := s.serverUsed(), time.Since(began)
	ownAfter := k.used()
	if err == nil {
		err = cmp.Or(k.order(orderStop), wait(ctx, "reports", procs, func() bool { _, _, ok := k.measured(); return ok }))
	}
	sum, h, _ := k.measured()
	res.measured(passed, &sum, h, after.cpu-before.cpu, ownAfter-own)
	res.memory(after.rss-idle.rss, after.rss)
	if err != nil {
		return err
	}
	s.feed.stop(syscall.SIGTERM, 5*time.Second) // its last word is what all must end with
	if err := k.order(orderSettle); err != nil {
		return err
	}
	began = time.Now()
	settle, cancel := context.WithTimeoutCause(ctx, settleMost+10*time.Second, errors.New("workers do not report"))
	defer cancel()
	return wait(settle, "the last word", s.nodes, func() bool {
		now := k.sum()
		tick.line("settle", began, settleMost, &now)
		return now.Kind == theLast
	})
}

// pauseAll waits while every process lives.
func pauseAll(ctx context.Context, procs []*proc, d time.Duration) error {
	end := time.Now().Add(d)
	return wait(ctx, "warm-up", procs, func() bool { return !time.Now().Before(end) })
}

var machine = fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
