package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// witness reads the tape into the truth, beside the servers under test and without
// their code: that is what makes its word worth something.
type witness struct {
	rdb   *tapes.Redis
	truth *truth
	last  map[string]codec.ID // by stream
}

func newWitness(url string, t *truth) (*witness, error) {
	rdb, err := tapes.Open(url, tapes.Role{Name: "tickwire-bench", Conns: 4, Reads: true})
	if err != nil {
		return nil, fmt.Errorf("bench: --redis: %w", err)
	}
	return &witness{rdb: rdb, truth: t, last: make(map[string]codec.ID)}, nil
}

// run reads until ctx ends.
func (w *witness) run(ctx context.Context) {
	defer w.rdb.Close()
	for ctx.Err() == nil {
		err := w.step(ctx)
		if ctx.Err() != nil {
			return
		}
		w.truth.mu.Lock()
		w.truth.trouble = ""
		if err != nil {
			w.truth.trouble = err.Error()
		}
		w.truth.mu.Unlock()
		if err != nil {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// step reads what has come on all streams.
func (w *witness) step(ctx context.Context) error {
	names, err := w.rdb.Now().SMembers(ctx, codec.TapesKey).Result()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("no streams")
	}
	for _, name := range names {
		if _, begun := w.last[name]; !begun {
			if err := w.begin(ctx, name); err != nil {
				return err
			}
		}
	}
	began := time.Now()
	// One read each: the streams of a Cluster are in different slots.
	got, err := w.rdb.Now().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, name := range names {
			p.XRead(ctx, &redis.XReadArgs{Streams: []string{codec.TapeKey(name), w.last[name].String()}, Count: 256, Block: -1})
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	some := false
	for i, cmd := range got {
		streams, err := cmd.(*redis.XStreamSliceCmd).Result()
		if errors.Is(err, redis.Nil) || err == nil && len(streams) == 0 {
			continue
		}
		if err != nil {
			return err
		}
		some = true
		w.takeAll(names[i], streams[0].Messages)
	}
	if !some {
		w.truth.mu.Lock()
		w.truth.readTo = began
		w.truth.mu.Unlock()
		time.Sleep(witnessEvery)
	}
	return nil
}

// witnessEvery is how soon a tape that had nothing is read again.
const witnessEvery = 5 * time.Millisecond

// takeAll takes entries of a stream, up to a hole.
func (w *witness) takeAll(name string, entries []redis.XMessage) {
	for _, m := range entries {
		if err := w.take(name, m); err != nil {
			w.truth.mu.Lock()
			w.truth.holes++
			w.truth.mu.Unlock()
			delete(w.last, name)
			time.Sleep(50 * time.Millisecond)
			return
		}
	}
}

// begin reads a stream's checkpoint.
func (w *witness) begin(ctx context.Context, name string) error {
	blob, err := w.rdb.Now().Get(ctx, codec.CheckpointKey(name)).Bytes()
	if errors.Is(err, redis.Nil) {
		w.last[name] = codec.ID{}
		return nil
	}
	if err != nil {
		return err
	}
	e, body, err := codec.ParseEntry(blob)
	if err == nil {
		err = w.apply(name, &e, body)
	}
	if err != nil {
		return fmt.Errorf("the checkpoint of %s: %w", name, err)
	}
	w.last[name] = e.ID
	return nil
}

func (w *witness) take(name string, m redis.XMessage) error {
	text, _ := m.Values[codec.EntryField].(string)
	e, body, err := codec.ParseEntry([]byte(text))
	if err != nil {
		return err
	}
	if last := w.last[name]; last != (codec.ID{}) && e.Prev != last {
		return errors.New("a hole")
	}
	if err := w.apply(name, &e, body); err != nil {
		return err
	}
	w.last[name] = e.ID
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	if e.SentAt >= w.truth.from && e.SentAt < w.truth.to {
		w.truth.published += int64(e.Count)
	}
	w.truth.heard[name] = e.SentAt
	return nil
}

// apply tells the truth what an entry, or a checkpoint, holds.
func (w *witness) apply(name string, e *codec.Entry, body []byte) error {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	var u codec.Update
	for range e.Count {
		u.Quote = codec.Empty
		symbol, rest, err := codec.ParseTapeUpdate(body, &u)
		if err != nil {
			return err
		}
		if u.Flags&codec.Image == 0 {
			u.History = e.History
		}
		w.truth.apply(name, symbol, &u)
		body = rest
	}
	return nil
}
