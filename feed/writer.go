package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// writer is the goroutine that owns a stream's lease and tape. What it does waits for
// Redis; the stream's sequencer goes on meanwhile.
type writer struct {
	tape  *tape
	lease *lease
	crew  *crew
	log   *slog.Logger
	jobs  chan job    // room for one: there is no second before the first is done
	said  chan report // to the stream
	live  atomic.Bool // the venue is heard
	shard shard
	alone bool // the venue is simulated, and not as another feed does

	reigns bool   // what it is given goes to the tape
	heard  bool   // Redis has once answered for the lease
	told   string // who was last said to write the stream

	away tapes.Outage // Redis does not say who does
}

// job is what the writer does next. Without a batch it leaves.
type job struct {
	batch      *batch
	checkpoint *batch // nil: none is due
	last       bool   // the reign ends with it, and the lease is passed on
}

// report is what the writer says to its stream.
type report struct {
	reign   *sequencer // one begins: the state that was restored
	asOf    time.Time  // and when that was written
	done    bool       // a job is done
	lost    bool       // the reign is over, for err
	renewed bool       // so was the lease
	heir    bool       // then somebody stands by
	yield   bool       // who should rather write
	err     error      // without lost: it cannot go on
}

// run tries for the lease, and writes while it has it, until ctx ends.
func (w *writer) run(ctx context.Context) {
	for {
		every := leaseTry
		if w.reigns {
			every = leaseRenew
		}
		w.step(ctx)
		due := time.After(every)
		for waiting := true; waiting; {
			select {
			case j := <-w.jobs:
				w.do(ctx, j)
			case <-due:
				waiting = false
			case <-ctx.Done():
				return
			}
		}
	}
}

func (w *writer) say(ctx context.Context, r report) {
	select {
	case w.said <- r:
	case <-ctx.Done():
	}
}

// step takes the lease and begins a reign, or renews it.
func (w *writer) step(ctx context.Context) {
	var yes bool
	err := w.tape.over(ctx, func(ctx context.Context) (err error) {
		if w.reigns {
			yes, err = w.lease.renew(ctx, w.tape.line, w.tape.id.Epoch)
		} else {
			yes, err = w.lease.take(ctx, w.tape.line, w.live.Load())
		}
		return err
	})
	w.watch(err)
	switch {
	case ctx.Err() != nil:
	case !w.reigns:
		w.took(ctx, yes, err)
	case errors.Is(err, errMoved):
		w.lose(ctx, report{}, err)
	case err != nil: // writing finds out what that means
	case !yes:
		w.lose(ctx, report{}, fmt.Errorf("%w: %s has the lease", ErrFenced, w.lease.holder))
	case w.lease.seen > w.tape.id.Epoch:
		w.lose(ctx, report{}, fmt.Errorf("%w: there was a reign of epoch %d", errMoved, w.lease.seen))
	default:
		w.say(ctx, report{renewed: true, heir: w.lease.heir != "", yield: w.lease.wanted(w.live.Load())})
	}
}

// watch notes since when nobody can have written the stream elsewhere without our knowing:
// not while Redis did not answer, nor while this process stood still.
func (w *writer) watch(err error) {
	l, now := w.lease, time.Now().Round(0) // without the monotonic clock, which stands still while a machine sleeps
	switch {
	case err != nil:
		l.watched = time.Time{}
	case l.watched.IsZero(), now.Sub(l.asked) > leaseFor:
		l.watched = now
	}
	l.asked = now
}

// took is what follows from having tried for the lease.
func (w *writer) took(ctx context.Context, taken bool, err error) {
	if err != nil && (!w.heard && lasting(err) || errors.Is(err, errShards)) {
		w.say(ctx, report{err: fmt.Errorf("feed: %s: lease: %s: %w", w.tape.stream, codec.WriterKey(w.tape.stream), w.tape.rdb.Advise(err, ""))})
		return
	}
	w.heard = w.heard || err == nil
	w.tape.counts.away.Set(0)
	if err != nil {
		w.tape.counts.away.Set(1)
	}
	w.tell(ctx, err)
	if taken {
		w.reign(ctx)
	}
}

// lose ends a reign that cannot go on, and says so.
func (w *writer) lose(ctx context.Context, r report, err error) {
	w.end()
	r.lost, r.err = true, fmt.Errorf("feed: %s: %w", w.tape.stream, err)
	w.say(ctx, r)
}

// tell says once who writes the stream, or that nobody can know.
func (w *writer) tell(ctx context.Context, err error) {
	if err == nil {
		w.away.Ends()
	}
	switch holder := w.lease.holder; {
	case ctx.Err() != nil:
	case err != nil && w.away.Begins():
		w.told = ""
		w.log.Warn("redis does not say who writes the stream", "stream", w.tape.stream, "err", w.tape.rdb.Advise(err, ""))
	case err == nil && holder != "" && holder != w.crew.name && w.told != holder:
		w.told = holder
		w.log.Info("standing by", "stream", w.tape.stream, "writer", holder)
		if w.alone {
			w.log.Warn("this feed simulates another market than the one that writes: give both the same --sim-start", "stream", w.tape.stream)
		}
	}
}

// reign begins one. If Redis is away it is tried again, as long as the lease is ours.
func (w *writer) reign(ctx context.Context) {
	began := time.Now()
	q := newSequencer(w.tape.counts)
	q.shard = w.shard
	asOf, err := w.tape.reign(ctx, q, w.lease)
	switch {
	case ctx.Err() != nil:
	case err != nil && lasting(err):
		w.say(ctx, report{err: err})
	case err != nil:
		w.tape.counts.redisErrors.Inc()
		w.log.Warn("a reign cannot begin yet", "stream", w.tape.stream, "err", w.tape.rdb.Advise(err, ""))
	default:
		w.reigns, w.told = true, ""
		w.crew.reigns.Add(1)
		w.tape.counts.writer.Set(1)
		w.tape.counts.reigns.Inc()
		w.tape.counts.restore.Set(time.Since(began).Seconds())
		w.say(ctx, report{reign: q, asOf: asOf})
	}
}

// end is the end of a reign.
func (w *writer) end() {
	if w.reigns {
		w.reigns, w.tape.bound = false, false
		w.crew.reigns.Add(-1)
		w.tape.counts.writer.Set(0)
		w.tape.counts.away.Set(0) // it need not take it
	}
}

// do is a job.
func (w *writer) do(ctx context.Context, j job) {
	var err error
	if j.batch != nil && w.reigns {
		err = w.tape.write(ctx, j)
	}
	switch {
	case errors.Is(err, ErrFenced):
		w.tape.counts.fenced.Inc()
		w.lease.calm = time.Now().Add(2 * leaseFor)
		w.leave(ctx, w.lease.drop)
		w.lose(ctx, report{done: true}, err)
		return
	case errors.Is(err, errMoved):
		w.watch(err)
		w.lose(ctx, report{done: true}, err)
		w.step(ctx) // if nobody writes there, it is ours
		return
	case err != nil: // ctx has ended
		return
	case j.last && w.reigns:
		w.end()
		w.log.Info("leaves the stream", "stream", w.tape.stream, "to", cmp.Or(w.lease.heir, "whoever comes"))
		w.leave(ctx, w.lease.pass)
	case j.last:
		w.leave(ctx, w.lease.drop)
	}
	w.say(ctx, report{done: true})
}

// leave gives up the lease, one way or the other.
func (w *writer) leave(ctx context.Context, how func(context.Context, *tapes.Line) error) {
	err := w.tape.over(ctx, func(ctx context.Context) error { return how(ctx, w.tape.line) })
	if err != nil && ctx.Err() == nil {
		w.log.Warn("the lease is not passed on; it ends within a second", "stream", w.tape.stream, "err", err)
	}
}
