package feed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

const (
	restoreCount = 64  // entries a read, of some 256 KiB at the most
	headerMax    = 128 // more than an entry's header takes: eight integers
)

// reign begins a reign over the stream: first the fence, after which no older writer
// can append, and only then the state, from the checkpoint and the tape up to the
// fence. So every seq goes on where the last reign left it.
func (t *tape) reign(ctx context.Context, q *sequencer) error {
	for {
		prev, history, behind, err := t.known(ctx)
		if err == nil && prev.Epoch >= codec.MaxInt {
			err = fmt.Errorf("no id comes after %s, which is not a feed's", prev)
		}
		if err != nil {
			return fmt.Errorf("feed: %s: fence: %w", t.stream, err)
		}
		fence := codec.Entry{
			ID:     codec.ID{Epoch: max(time.Now().UnixMilli(), prev.Epoch+1)},
			Prev:   prev,
			SentAt: time.Now().UnixMicro(),
		}
		if fence.History = history; history == 0 {
			fence.History = fence.ID.Epoch
		}
		try, cancel := context.WithTimeout(ctx, redisTimeout)
		err = t.add(try, fence.ID, codec.AppendEntry(nil, &fence, nil))
		cancel()
		if errors.Is(err, ErrFenced) {
			continue // someone began a later reign in between
		}
		if err != nil {
			return fmt.Errorf("feed: %s: fence: %w", t.stream, err)
		}
		q.reset()
		last, err := t.restore(ctx, q, fence.ID)
		if err != nil {
			return fmt.Errorf("feed: %s: restore: %w", t.stream, err)
		}
		if last.id != prev {
			// Entries came between looking and fencing, or there was less than was said:
			// the fence's Prev is not true. Another one's is.
			continue
		}
		if last.history == 0 {
			last.history = fence.History
		}
		t.id, t.history = fence.ID, last.history
		if behind {
			last.miss(q)
		}
		if t.lost(ctx, &last) {
			last.miss(q)
		}
		q.settle(last, fence.ID.Epoch, time.Now())
		if last.partial {
			t.counts.holes.Inc()
		}
		t.log.Info("reign", "stream", t.stream, "epoch", t.id.Epoch, "symbols", len(q.states),
			"as_of", last.id, "complete", !last.partial)
		return nil
	}
}

// known is the newest id there is a trace of, on the tape or in the checkpoint, and
// the history it belongs to; zeros when there is neither. behind: the tape lost
// entries that the checkpoint is as of.
func (t *tape) known(ctx context.Context) (id codec.ID, history int64, behind bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	info, err := t.rdb.XInfoStream(ctx, codec.TapeKey(t.stream)).Result()
	switch {
	case err == nil:
		if id, err = codec.ParseID(info.LastGeneratedID); err != nil {
			return id, 0, false, err
		}
	case !strings.Contains(err.Error(), "no such key"):
		return id, 0, false, err
	}
	last, err := t.rdb.XRevRangeN(ctx, codec.TapeKey(t.stream), "+", "-", 1).Result()
	if err != nil {
		return id, 0, false, err
	}
	if len(last) == 1 {
		text, _ := last[0].Values[codec.EntryField].(string)
		if e, _, perr := codec.ParseEntry([]byte(text)); perr == nil {
			history = e.History
		}
	}
	head, err := t.rdb.GetRange(ctx, codec.CheckpointKey(t.stream), 0, headerMax-1).Bytes()
	if err != nil {
		return id, 0, false, err
	}
	if e, _, perr := codec.ParseEntry(head); perr == nil {
		history = max(history, e.History)
		if id.Less(e.ID) {
			id, behind = e.ID, true
		}
	}
	return id, history, behind, nil
}

// restore reads checkpoint and tape before the fence into the sequencer.
func (t *tape) restore(ctx context.Context, q *sequencer, fence codec.ID) (last restored, err error) {
	last.partial = true
	try, cancel := context.WithTimeout(ctx, largeTimeout)
	blob, err := t.rdb.Get(try, codec.CheckpointKey(t.stream)).Bytes()
	cancel()
	switch {
	case err == nil:
		e, perr := t.load(q, blob)
		if perr != nil {
			t.counts.corrupt.Inc()
			t.log.Error("the checkpoint cannot be read; the tape alone is taken", "stream", t.stream, "bytes", len(blob), "err", perr)
			break
		}
		last = restored{id: e.ID, history: e.History, sentAt: e.SentAt}
	case !errors.Is(err, redis.Nil):
		return last, err
	}
	after := last.id
	for {
		try, cancel := context.WithTimeout(ctx, largeTimeout)
		entries, err := t.rdb.XRangeN(try, codec.TapeKey(t.stream), "("+after.String(), "("+fence.String(), restoreCount).Result()
		cancel()
		if err != nil {
			return last, err
		}
		if len(entries) == 0 {
			// Neither checkpoint nor tape: nothing that could be missing.
			last.partial = last.partial && last.id != codec.ID{}
			return last, nil
		}
		for i := range entries {
			if err := t.replay(q, &last, &entries[i]); err != nil {
				return last, err
			}
		}
		after = last.id
	}
}

// replay takes the next entry of the tape, whatever it is worth.
func (t *tape) replay(q *sequencer, last *restored, m *redis.XMessage) error {
	id, err := codec.ParseID(m.ID)
	if err != nil {
		return err
	}
	text, _ := m.Values[codec.EntryField].(string)
	blob := []byte(text)
	e, _, err := codec.ParseEntry(blob)
	if err == nil && e.ID != id {
		err = fmt.Errorf("it says it is %s", e.ID)
	}
	if err == nil {
		switch {
		case last.id == codec.ID{}:
			last.partial = e.Prev != codec.ID{} // trimmed, and no checkpoint
		case last.id.Less(e.Prev):
			last.miss(q) // something we have not seen
		}
		_, err = t.load(q, blob)
	}
	last.id = id
	if err != nil {
		t.counts.corrupt.Inc()
		t.log.Error("an entry cannot be read; going on after it", "stream", t.stream, "id", m.ID, "err", err)
		last.miss(q)
		return nil
	}
	last.sentAt = max(last.sentAt, e.SentAt)
	last.history = max(last.history, e.History)
	return nil
}

// miss notes a hole after what was read so far.
func (r *restored) miss(q *sequencer) {
	q.doubt()
	r.partial = true
	if r.since == 0 {
		r.since = r.sentAt
	}
}

// load reads an entry or a checkpoint into the sequencer.
func (t *tape) load(q *sequencer, blob []byte) (codec.Entry, error) {
	e, body, err := codec.ParseEntry(blob)
	if err == nil {
		err = q.restore(body, e.Count)
	}
	return e, err
}

// lost reports whether Redis was started after the newest entry was written: the end
// of the tape, entries after that one, may be gone.
func (t *tape) lost(ctx context.Context, last *restored) bool {
	if last.sentAt == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	info, err := t.rdb.Info(ctx, "server").Result()
	if err != nil {
		return false // a Redis in memory does not restart
	}
	_, after, _ := strings.Cut(info, "uptime_in_seconds:")
	text, _, _ := strings.Cut(after, "\r")
	uptime, err := strconv.ParseInt(text, 10, 64) // whole seconds, cut off: doubt is on our side
	age := time.Since(time.UnixMicro(last.sentAt))
	if err != nil || age < time.Duration(uptime)*time.Second {
		return false
	}
	t.log.Warn("redis was started after the last entry and may have lost some; seqs jump", "stream", t.stream, "age", age.Round(time.Millisecond))
	return true
}
