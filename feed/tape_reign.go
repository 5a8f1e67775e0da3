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

// reign begins a reign over the stream: first the fence, after which no older writer
// can append, and only then the state, from the checkpoint and the tape up to the
// fence. So every seq goes on where the last reign left it.
func (t *tape) reign(ctx context.Context, q *sequencer) error {
	for {
		prev, err := t.top(ctx)
		if err != nil {
			return fmt.Errorf("feed: %s: fence: %w", t.stream, err)
		}
		fence := codec.Entry{
			ID:     codec.ID{Epoch: max(time.Now().UnixMilli(), prev.Epoch+1)},
			Prev:   prev,
			SentAt: time.Now().UnixMicro(),
		}
		err = t.add(ctx, fence.ID, codec.AppendEntry(nil, &fence, nil))
		if errors.Is(err, ErrFenced) {
			continue // someone began a later reign in between
		}
		if err != nil {
			return fmt.Errorf("feed: %s: fence: %w", t.stream, err)
		}
		t.id = fence.ID
		last, complete, err := t.restore(ctx, q, fence.ID)
		if err != nil {
			return fmt.Errorf("feed: %s: restore: %w", t.stream, err)
		}
		if last.id != prev && last.id != (codec.ID{}) {
			// Entries came between looking and fencing: the fence's Prev is not true.
			// Another one is.
			continue
		}
		t.settle(ctx, q, last, complete)
		return nil
	}
}

// restored is what the restored state is as of.
type restored struct {
	id     codec.ID
	sentAt int64
}

// restore reads checkpoint and tape before the fence into the sequencer. complete is
// false when something between is missing.
func (t *tape) restore(ctx context.Context, q *sequencer, fence codec.ID) (last restored, complete bool, err error) {
	blob, err := t.rdb.Get(ctx, codec.CheckpointKey(t.stream)).Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		return last, false, err
	}
	complete = true
	if err == nil {
		e, body, perr := codec.ParseEntry(blob)
		if perr == nil {
			perr = q.restore(body, e.Count)
		}
		if perr != nil {
			t.log.Error("the checkpoint cannot be read; the tape alone is taken", "stream", t.stream, "err", perr)
			complete = false
		} else {
			last, t.history = restored{e.ID, e.SentAt}, e.History
		}
	}
	for {
		entries, err := t.rdb.XRangeN(ctx, codec.TapeKey(t.stream), "("+last.id.String(), "("+fence.String(), 500).Result()
		if err != nil {
			return last, false, err
		}
		if len(entries) == 0 {
			break
		}
		for _, m := range entries {
			text, _ := m.Values[codec.EntryField].(string)
			e, body, err := codec.ParseEntry([]byte(text))
			if err == nil {
				err = q.restore(body, e.Count)
			}
			if err != nil {
				t.log.Error("an entry cannot be read; going on after it", "stream", t.stream, "id", m.ID, "err", err)
				complete = false
				if e.ID, err = codec.ParseID(m.ID); err != nil {
					return last, false, err
				}
			}
			complete = complete && e.Prev == last.id
			last = restored{e.ID, max(last.sentAt, e.SentAt)}
			t.history = max(t.history, e.History)
		}
	}
	return last, complete, nil
}

// settle makes the restored state the sequencer's own: a history, seqs beyond any
// that may have been lost, and no claim that it is live.
func (t *tape) settle(ctx context.Context, q *sequencer, last restored, complete bool) {
	if t.history == 0 {
		t.history = t.id.Epoch
	}
	q.history = t.history
	if len(q.states) == 0 {
		return
	}
	if lost := t.lostFor(ctx, last.sentAt); lost > 0 {
		// Redis began anew since: what it forgot had seqs, at most one a millisecond.
		t.log.Warn("redis may have lost the end of the tape; seqs jump", "stream", t.stream, "by", lost.Milliseconds())
		complete = false
		for i := range q.states {
			q.states[i].update.Seq += lost.Milliseconds()
		}
	}
	t.log.Info("state restored", "stream", t.stream, "symbols", len(q.states), "as_of", last.id, "complete", complete)
	q.all(codec.Stale, true)
}

// lostFor is how much time the newest entry may lack: 0 unless Redis was started
// after it was written.
func (t *tape) lostFor(ctx context.Context, sentAt int64) time.Duration {
	info, err := t.rdb.Info(ctx, "server").Result()
	if err != nil {
		return 0 // a Redis in memory does not restart
	}
	_, after, found := strings.Cut(info, "uptime_in_seconds:")
	text, _, _ := strings.Cut(after, "\r")
	uptime, err := strconv.ParseInt(text, 10, 64)
	if !found || err != nil {
		return 0
	}
	age := time.Since(time.UnixMicro(sentAt))
	if age < time.Duration(uptime)*time.Second {
		return 0
	}
	return age + time.Second
}

// restore merges the updates of an entry or a checkpoint into the state.
func (q *sequencer) restore(body []byte, count int) error {
	var u codec.Update
	for range count {
		symbol, rest, err := codec.ParseTapeUpdate(body, &u)
		if err != nil {
			return err
		}
		body = rest
		s := &q.states[q.state(string(symbol))]
		if u.Flags&codec.Image != 0 {
			s.update.Quote = codec.Empty
			s.update.History = u.History
		}
		s.update.Quote.Merge(&u.Quote, u.Mask)
		s.update.Seq = max(s.update.Seq, u.Seq)
		s.flags = 0
	}
	if len(body) > 0 {
		return codec.ErrTrailing
	}
	return nil
}
