package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// workerConns bounds the subscribers of a worker: beyond it they share a source address,
// whose ports end at 28,000, and one core.
const workerConns = 18_000

// crew is the workers of a run, and what they said last.
type crew struct {
	procs  []*proc
	orders []io.WriteCloser

	mu      sync.Mutex // protects what follows
	last    []Report   // by worker
	window  []Report   // likewise: what was measured
	seconds []second
	total   *hdrhistogram.Histogram // of the seconds that were measured and told
	began   int64                   // us since the Unix epoch: measuring
	ended   int64
}

// second is what all workers together said of a second.
type second struct {
	at            int64                   // its end, us since the Unix epoch
	said          int                     // workers that have spoken of it
	updates       int64                   // so far
	histogram     *hdrhistogram.Histogram // nil when all have
	p50, p99, max int64                   // then
}

// newCrew forks workers for all subscribers of a run, whose load says the rest.
func newCrew(s *stand, like *Load) (*crew, error) {
	cfg := s.cfg
	most := min(workerConns, processConns())
	n := (cfg.Conns + most - 1) / most
	if len(s.otherCPUs) > 1 {
		n = max(n, min(len(s.otherCPUs)-1, cfg.Conns))
	}
	k := &crew{last: make([]Report, n), window: make([]Report, n), total: newHistogram()}
	for i := range n {
		first := cfg.Conns * i / n
		l := *like
		l.Conns, l.First, l.From, l.Ramp = cfg.Conns*(i+1)/n-first, first, 0, cfg.Ramp/float64(n)
		if l.Nodes[0].Addr.Addr().IsLoopback() && l.Nodes[0].Addr.Addr().Is4() {
			l.From = i
		}
		l.Subs, l.Zipf, l.JSON, l.Rate = cfg.Subs, cfg.Zipf, cfg.Encoding == "json", cfg.Rate
		if l.Peer != "floor" {
			l.Slow, l.SlowBytes, l.Churn = cfg.Slow, cfg.SlowBytes, cfg.Churn/float64(n)
		}
		if err := k.fork(s, i, &l); err != nil {
			return k, err
		}
	}
	return k, nil
}

func (k *crew) fork(s *stand, i int, l *Load) error {
	// A pipe of the system: with one of ours its copying would outlive the process.
	in, orders, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("bench: worker: %w", err)
	}
	out, said := io.Pipe()
	p, err := start(fmt.Sprintf("worker %d", i+1), s.otherCPUs, in, said, s.cfg.Exe, "bench-worker")
	in.Close() // else writing to one that has gone would wait for ever
	if err != nil {
		return err
	}
	k.procs, k.orders = append(k.procs, p), append(k.orders, orders)
	go func() { <-p.gone; said.Close() }()
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
func (k *crew) listen(i int, out *io.PipeReader) {
	defer out.Close() // else one that says too much would wait for ever
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
	i, known := slices.BinarySearchFunc(k.seconds, r.At, func(s second, at int64) int { return cmp.Compare(s.at, at) })
	if !known {
		k.seconds = slices.Insert(k.seconds, i, second{at: r.At, histogram: newHistogram()})
	}
	s := &k.seconds[i]
	s.histogram.Merge(h)
	s.said++
	s.updates += r.Counts.Updates
	if s.said == len(k.last) {
		h := s.histogram
		s.p50, s.p99, s.max, s.histogram = h.ValueAtQuantile(50), h.ValueAtQuantile(99), h.Max(), nil
		if k.began > 0 && s.at >= k.began {
			k.total.Merge(h)
		}
	}
}

// order tells all workers something.
func (k *crew) order(o order) error {
	k.mu.Lock()
	switch o {
	case orderMeasure:
		k.began = time.Now().UnixMicro()
	case orderStop:
		k.ended = time.Now().UnixMicro()
	}
	k.mu.Unlock()
	for i, w := range k.orders {
		if _, err := io.WriteString(w, string(o)+"\n"); err != nil {
			time.Sleep(100 * time.Millisecond) // until its end is known, and why
			return cmp.Or(k.procs[i].dead(), fmt.Errorf("bench: worker: %w", err))
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

// errRamp: subscribers did not come up.
var errRamp = errors.New("the subscribers do not come up")

// refusedFor is how long a server may let nobody in.
const refusedFor = 5 * time.Second

// up waits until all subscribers have what they asked for, as long as it gets further.
func (k *crew) up(ctx context.Context, cfg *Config, procs []*proc, say func(*Report)) error {
	ctx, stall := context.WithCancelCause(ctx)
	defer stall(nil)
	conns, most := cfg.Conns, cfg.rampStall()
	best, last, readable := 0, time.Now(), time.Now()
	return wait(ctx, "subscribers", procs, func() bool {
		now := k.sum()
		say(&now)
		if now.Ready >= best+max(1, conns/100) {
			best, last = now.Ready, time.Now()
		}
		if best == 0 && now.Open == 0 && now.Ready == 0 && now.Counts.mostLost() != "" && time.Since(last) > refusedFor {
			stall(fmt.Errorf("%w: nobody gets in%s", errRamp, now.Counts.mostLost()))
		}
		if now.Trouble == "" {
			readable = time.Now()
		}
		if time.Since(readable) > refusedFor {
			stall(fmt.Errorf("the tape cannot be read, to verify: %s", now.Trouble))
		}
		if time.Since(last) > most {
			stall(fmt.Errorf("%w: %d of %d are up, and for %.0f s it gets no further%s", errRamp, now.Ready, conns, most.Seconds(), now.Counts.mostLost()))
		}
		return now.Ready >= conns && now.Trouble == ""
	})
}

// add adds reports up; of their kinds it keeps the one they share.
func add(reports []Report) (r Report) {
	r.Counts = newCounts()
	for i := range reports {
		one := &reports[i]
		if i == 0 {
			r.Kind = one.Kind
		}
		r.At = max(r.At, one.At)
		r.Open += one.Open
		r.Ready += one.Ready
		r.Holes += one.Holes
		r.Stale += one.Stale
		r.Published = max(r.Published, one.Published) // each has read all of it
		r.Subs += one.Subs
		r.Woken += one.Woken
		r.Unread += one.Unread
		r.UnreadMax = max(r.UnreadMax, one.UnreadMax)
		if i == 0 || one.Fewest < r.Fewest {
			r.Fewest = one.Fewest
		}
		r.Most = max(r.Most, one.Most)
		r.Blind = r.Blind || one.Blind
		r.Trouble = cmp.Or(r.Trouble, one.Trouble)
		r.Counts.add(&one.Counts)
		if one.Kind != r.Kind {
			r.Kind = ""
		}
	}
	return r
}

// window is what was counted from measure to stop.
type window struct {
	Report
	latency *hdrhistogram.Histogram // of those that read
	slow    *hdrhistogram.Histogram // of slow subscribers
	sent    *hdrhistogram.Histogram // ages of updates when they were sent
	whole   bool                    // all workers have said; else it is what they said last, until At
}

func (k *crew) measured() window {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := window{Report: add(k.window), latency: newHistogram(), slow: newHistogram(), sent: newHistogram()}
	if w.Kind != theWindow {
		w.latency.Merge(k.total)
		w.Report = add(slices.DeleteFunc(slices.Clone(k.last), func(r Report) bool { return r.At < k.began }))
		return w
	}
	w.whole = true
	for i := range k.window {
		merge(w.latency, k.window[i].Latency)
		merge(w.slow, k.window[i].Slow)
		merge(w.sent, k.window[i].Sent)
	}
	return w
}

// merge adds an encoded histogram to another.
func merge(h *hdrhistogram.Histogram, encoded []byte) {
	if one, err := hdrhistogram.Decode(encoded); err == nil {
		h.Merge(one)
	}
}

// timeline is the seconds that were measured, in which all workers spoke.
func (k *crew) timeline() (all []Moment) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, last := int64(0), k.began
	for _, s := range k.seconds {
		passed := float64(s.at-last) / 1e6
		if s.said != len(k.last) || passed < 0.5 || k.ended > 0 && s.at > k.ended {
			continue // the next one has it
		}
		all = append(all, Moment{
			At: float64(s.at-k.began) / 1e6, UpdatesPS: float64(max(0, s.updates-before)) / passed,
			P50: s.p50, P99: s.p99, Max: s.max,
		})
		before, last = s.updates, s.at
	}
	return all
}

// used is the CPU time of every worker.
func (k *crew) used() (each []time.Duration) {
	for _, p := range k.procs {
		each = append(each, p.used().cpu)
	}
	return each
}

// report waits until all workers have said what was measured.
func (k *crew) report(ctx context.Context, procs []*proc) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleMost, errors.New("workers do not report"))
	defer cancel()
	return wait(ctx, "reports", procs, func() bool { return k.measured().whole })
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
