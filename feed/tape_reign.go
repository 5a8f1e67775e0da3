package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

const restoreCount = 64 // entries a read, of some 256 KiB at the most

// errForeign: an id on the tape is not a feed's.
var errForeign = errors.New("which is not a feed's")

// reign begins a reign over the stream: first the fence, after which no older writer
// can append, and only then the state, from the checkpoint and the tape up to the
// fence. So every seq goes on where the last reign left it, or beyond, where it is not sure
// that nobody has gone on from there. asOf is when that was said.
func (t *tape) reign(ctx context.Context, q *sequencer, l *lease) (asOf time.Time, err error) {
	t.bound = false
	err = t.over(ctx, func(ctx context.Context) error {
		asOf, err = t.begin(ctx, q, l)
		return err
	})
	t.bound = err == nil
	return asOf, err
}

func (t *tape) begin(ctx context.Context, q *sequencer, l *lease) (asOf time.Time, err error) {
	try, cancel := context.WithTimeout(ctx, redisTimeout)
	t.server, err = t.line.Identity(try)
	cancel()
	if err != nil {
		return asOf, fmt.Errorf("feed: %s: which redis is it: %w", t.stream, err)
	}
	seen := l.seen
	fence, behind, err := t.fence(ctx, seen)
	if err != nil {
		return asOf, fmt.Errorf("feed: %s: fence: %w", t.stream, err)
	}
	last, whole, err := t.restore(ctx, q, fence.ID)
	if err != nil {
		return asOf, fmt.Errorf("feed: %s: restore: %w", t.stream, err)
	}
	whole = whole && !behind && !last.ID.Less(fence.Prev)
	_, lasts, err := t.line.Lasts(ctx, last.Server)
	if err == nil {
		err = l.reigns(ctx, t.line, fence.ID.Epoch)
	}
	if err != nil {
		return asOf, fmt.Errorf("feed: %s: fence: %w", t.stream, err)
	}
	asOf = time.UnixMicro(last.SentAt)
	// Nobody can have written it elsewhere, that there is not: there was none, or this
	// Redis and the lease were watched since before its end was written.
	anew := last.ID == (codec.ID{}) && t.history == 0 && seen == 0
	sure := whole && (anew || lasts && seen <= fence.Prev.Epoch && !l.watched.IsZero() && asOf.After(l.watched.Add(clocksApart)))
	t.id, t.prev, t.history = fence.ID, fence.ID, fence.History
	t.marks, t.bytes, t.covered = nil, 0, 0
	if last.ID != fence.Prev {
		t.prev = last.ID // the fence is not true: nobody may follow it
	}
	if last.History != 0 {
		t.history = last.History
	}
	q.settle(t.history, t.id.Epoch, sure)
	if !whole {
		t.counts.holes.Inc()
	}
	t.log.Info("reign", "stream", t.stream, "epoch", t.id.Epoch, "symbols", len(q.states), "as_of", last.ID, "complete", whole, "seqs_jump", !sure)
	return asOf, nil
}

// fence appends the first entry of a reign above all there were. behind: the tape
// lost entries that the checkpoint is as of.
func (t *tape) fence(ctx context.Context, seen int64) (e codec.Entry, behind bool, err error) {
	for {
		last, checkpoint, err := t.known(ctx)
		if err != nil {
			return e, false, err
		}
		behind = last.ID.Less(checkpoint.ID)
		if e.Prev = last.ID; behind {
			e.Prev = checkpoint.ID
		}
		if e.Prev.Epoch >= codec.MaxInt/1000 {
			return e, false, fmt.Errorf("no id comes after %s, %w", e.Prev, errForeign)
		}
		e.ID = codec.ID{Epoch: max(time.Now().UnixMilli(), e.Prev.Epoch+1, seen+1)}
		e.SentAt, e.Server = time.Now().UnixMicro(), t.server
		e.History = cmp.Or(max(last.History, checkpoint.History), t.history, e.ID.Epoch)
		err = t.put(ctx, &e, checkpoint.ID)
		if !errors.Is(err, ErrFenced) { // by a later reign that began in between
			return e, behind, err
		}
	}
}

// put appends a fence. Entries may go with it of reigns that had ended before what is to be
// kept, unless a checkpoint is older. An epoch is the time at which its reign began: the
// reign before had ended by then.
func (t *tape) put(ctx context.Context, fence *codec.Entry, checkpoint codec.ID) error {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	young := codec.ID{Epoch: time.Now().Add(-t.keep).UnixMilli()}
	old, err := t.line.XRevRangeN(ctx, codec.TapeKey(t.stream), "("+young.String(), "-", 1).Result()
	if err != nil {
		return err
	}
	var from codec.ID
	for i := range old {
		from, _ = codec.ParseID(old[i].ID) // of a stranger's none go
		from.N = 0
	}
	if checkpoint.Less(from) {
		from = checkpoint
	}
	return t.add(ctx, fence.ID, codec.AppendEntry(nil, fence, nil), from)
}

// known is the newest id there is a trace of on the tape, with the history it belongs to,
// and what the checkpoint says of itself; zeros when there is none. The checkpoint is looked
// at first: of a feed that still writes, the tape is not behind it.
func (t *tape) known(ctx context.Context) (last, checkpoint codec.Entry, err error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	head, err := t.line.GetRange(ctx, codec.CheckpointKey(t.stream), 0, codec.HeaderMax-1).Bytes()
	if err != nil {
		return last, checkpoint, err
	}
	checkpoint, _, _ = codec.ParseEntry(head)
	info, err := t.line.XInfoStream(ctx, codec.TapeKey(t.stream)).Result()
	switch {
	case err == nil:
		if last.ID, err = codec.ParseID(info.LastGeneratedID); err != nil {
			return last, checkpoint, err
		}
		top, _, _ := codec.ParseEntry(tapes.EntryBytes(&info.LastEntry))
		last.History = top.History
	case !strings.Contains(err.Error(), "no such key"):
		return last, checkpoint, err
	}
	return last, checkpoint, nil
}

// restore reads checkpoint and tape before the fence into the sequencer, up to the
// first hole, where whole is false: a delta beyond it may be in a scale that changed
// within. last is what the state is as of; but when and where that was said, of a reign
// that had a checkpoint: another may have ended before it had said what it began with.
func (t *tape) restore(ctx context.Context, q *sequencer, fence codec.ID) (last codec.Entry, whole bool, err error) {
	cursor, err := codec.NewCursor(t.stream)
	if err != nil {
		return last, false, err
	}
	try, cancel := context.WithTimeout(ctx, largeTimeout)
	blob, err := t.line.Get(try, codec.CheckpointKey(t.stream)).Bytes()
	cancel()
	if err != nil && !errors.Is(err, redis.Nil) {
		return last, false, err
	}
	if err == nil {
		e, bad := cursor.Load(blob)
		if bad != nil {
			t.counts.corrupt.Inc()
			t.log.Error("the checkpoint cannot be read; the tape alone is taken", "stream", t.stream, "bytes", len(blob), "err", bad)
		} else {
			last = e
			q.restore(cursor.Items)
		}
	}
	saved := last.ID.Epoch
	q.before = saved
	for {
		try, cancel := context.WithTimeout(ctx, largeTimeout)
		entries, err := t.line.XRangeN(try, codec.TapeKey(t.stream), "("+cursor.Last.String(), "("+fence.String(), restoreCount).Result()
		cancel()
		if err != nil || len(entries) == 0 {
			return last, true, err
		}
		for i := range entries {
			e, err := cursor.Take(entries[i].ID, tapes.EntryBytes(&entries[i]))
			if err != nil {
				if err != codec.ErrHole {
					t.counts.corrupt.Inc()
				}
				t.log.Error("an entry cannot be read; the state is the one before", "stream", t.stream, "id", entries[i].ID, "err", err)
				return last, false, nil
			}
			if e.ID.Epoch != saved {
				e.SentAt, e.Server = last.SentAt, last.Server
			}
			if e.ID.N > 0 {
				q.before = e.ID.Epoch
			}
			last = e
			q.restore(cursor.Items)
		}
	}
}
