package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what a worker tells the harness, once a second and at the end. Counts are
// since the order to measure.
type Report struct {
	At      int64  `json:"at"` // us since the Unix epoch; everySecond: the end of the second
	Open    int    `json:"open"`
	Ready   int    `json:"ready"` // with an image of all they asked for
	Counts  counts `json:"counts"`
	Latency []byte `json:"latency"` // as HdrHistogram encodes it

	Holes     int    `json:"holes"`      // of the witness
	Published int64  `json:"published"`  // updates that the feed sent while it was measured, as the witness has read them
	Stale     int64  `json:"stale"`      // distinct updates that a node called stale, and the feed did not
	Slow      []byte `json:"slow"`       // theWindow: latencies of slow subscribers
	Sent      []byte `json:"sent"`       // theWindow: ages of updates when they were sent
	Fewest    int64  `json:"fewest"`     // theWindow: messages of the subscriber that got the fewest; not of the slow
	Most      int64  `json:"most"`       // and of the one that got most
	Woken     int    `json:"woken"`      // the last: slow subscribers that read on in the end
	Unread    int64  `json:"unread"`     // the last: bytes they found that were sent before, together
	UnreadMax int64  `json:"unread_max"` // and one of them at the most
	Subs      int    `json:"subs"`       // the last: subscriptions that ended with the feed's state
	Trouble   string `json:"trouble"`    // of the witness, with the tape
	Blind     bool   `json:"blind"`      // the last: the witness did not read the tape to its end
	Kind      string `json:"kind"`
}

// Kinds of reports.
const (
	everySecond = "second" // its latencies
	aChange     = "change" // all are up, or no longer
	theWindow   = "window" // from measure to stop
	theLast     = "last"
)

// order is what the harness tells a worker, a line each.
type order string

const (
	orderMeasure order = "measure" // count anew
	orderStop    order = "stop"    // report what was counted since, latencies too
	orderSettle  order = "settle"  // the feed has ended: compare, report, end
)

// settleMost is how long subscribers may take to get the last of what was sent.
const settleMost = 30 * time.Second

// RunWorker is a worker process: its load as a line of JSON on in, then orders;
// reports go to out. It ends with in.
func RunWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	var load Load
	if !lines.Scan() {
		return fmt.Errorf("bench: no load: %w", lines.Err())
	}
	if err := json.Unmarshal(lines.Bytes(), &load); err != nil {
		return fmt.Errorf("bench: load: %w", err)
	}
	w, err := newWorker(&load)
	if err != nil {
		return err
	}
	defer w.poll.Close()
	if w.truth != nil {
		witness, err := newWitness(load.Redis, w.truth)
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		if load.Peer == "" {
			w.truth.trouble = "nothing came yet"
			go witness.run(ctx)
		} else {
			go witness.lastOfPeers(ctx)
		}
	}
	orders := make(chan order)
	go func() {
		defer close(orders)
		for lines.Scan() {
			select {
			case orders <- order(lines.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	return w.run(orders, json.NewEncoder(out))
}

// run cycles until it is told to settle, and has.
func (w *worker) run(orders <-chan order, out *json.Encoder) error {
	next := time.Now().Truncate(time.Second).Add(time.Second) // all workers tell of the same seconds
	for {
		if err := w.cycle(); err != nil {
			return err
		}
		select {
		case o, ok := <-orders:
			if !ok {
				return nil
			}
			if err := w.obey(o, out); err != nil {
				return err
			}
		default:
		}
		if whole := w.ready == len(w.conns); whole != w.whole {
			w.whole = whole
			if err := out.Encode(w.report(aChange, nil)); err != nil {
				return err
			}
		}
		now := time.Now()
		if now.After(next) {
			r := w.report(everySecond, w.second)
			r.At = next.UnixMicro()
			next = next.Add(time.Second)
			if err := out.Encode(r); err != nil {
				return err
			}
			w.total.Merge(w.second)
			w.second.Reset()
			w.giveUp()
		}
		if !w.settling.IsZero() && w.settled() {
			if err := out.Encode(w.last()); err != nil {
				return err
			}
			for range orders { // until nobody asks for more: one that ends is one that failed
			}
			return nil
		}
	}
}

// obey does what it is told.
func (w *worker) obey(o order, out *json.Encoder) error {
	now := time.Now()
	switch o {
	case orderMeasure:
		w.count.restart()
		w.measuring = true
		w.second.Reset()
		w.total.Reset()
		w.slow.Reset()
		w.sent.Reset()
		for i := range w.conns {
			w.conns[i].messages = 0
		}
		w.began = now.UnixMicro()
		w.truth.measured(w.began, math.MaxInt64)
	case orderStop:
		w.truth.measured(w.began, now.UnixMicro())
		w.total.Merge(w.second)
		r := w.report(theWindow, w.total)
		r.Slow, _ = w.slow.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		r.Sent, _ = w.sent.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		r.Fewest, r.Most = w.shares()
		w.wake(now)
		return out.Encode(r)
	case orderSettle:
		w.settling = now
		w.settle(w.load.Live)
	}
	return nil
}

// last is the last report.
func (w *worker) last() *Report {
	w.absent()
	w.judgeLast()
	subs := 0
	if w.truth != nil {
		subs = w.final()
	}
	r := w.report(theLast, w.second)
	r.Subs, r.Blind = subs, w.truth != nil && !w.complete(w.settling)
	for i := range w.conns {
		if c := &w.conns[i]; c.slow {
			r.Woken++
			r.Unread += int64(c.unread)
			r.UnreadMax = max(r.UnreadMax, int64(c.unread))
		}
	}
	return r
}

// shares is how many messages subscribers had, the one with the fewest and the one with
// most, of those that read; more than any, and none, of nobody.
func (w *worker) shares() (fewest, most int64) {
	fewest = math.MaxInt64
	for i := range w.conns {
		if c := &w.conns[i]; !c.slow {
			fewest, most = min(fewest, int64(c.messages)), max(most, int64(c.messages))
		}
	}
	return fewest, most
}

// settled reports whether every subscriber has all there is, or has had time enough.
func (w *worker) settled() bool {
	switch since := time.Since(w.settling); {
	case since > settleMost:
		return true
	case since < 2*time.Second:
		return false
	}
	return w.ready == len(w.conns) && (w.truth == nil || w.complete(w.settling) && w.behind() == 0)
}

// wake has slow readers read on, as fast as they can.
func (w *worker) wake(now time.Time) {
	w.measuring, w.wokenAt = false, now.UnixMicro()
	for i := range w.conns {
		if c := &w.conns[i]; c.slow && c.fd >= 0 && c.state == connOpen {
			w.again = append(w.again, uint32(i))
		}
	}
}

func (w *worker) report(kind string, h *hdrhistogram.Histogram) *Report {
	var encoded []byte
	if h != nil {
		encoded, _ = h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	}
	r := &Report{
		At: time.Now().UnixMicro(), Open: w.open, Ready: w.ready, Counts: w.count,
		Kind: kind, Latency: encoded,
	}
	if w.truth != nil {
		w.truth.mu.Lock()
		r.Holes, r.Trouble, r.Stale = w.truth.holes, w.truth.trouble, w.truth.staleSaid
		r.Published = w.truth.published
		w.truth.mu.Unlock()
	}
	return r
}
