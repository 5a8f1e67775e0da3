package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// headerMax is more than a checkpoint's header takes: eight integers.
const headerMax = 80

// anchor begins with the stream's checkpoint. Without one the stream is read from
// its beginning, which take finds out not to be the beginning, if so.
func (s *stream) anchor(ctx context.Context) error {
	_, err := s.load(ctx, codec.ID{})
	s.anchored = err == nil
	return err
}

// repair loads the checkpoint that covers a hole, or waits for it. Its rows say stale
// meanwhile.
func (s *stream) repair(ctx context.Context) error {
	loaded, err := s.load(ctx, s.need)
	if err != nil {
		return err
	}
	if loaded {
		s.tape.log.Info("tape: whole again", "stream", s.name, "last", s.last)
		return nil
	}
	s.hush(true)
	// The writer that could cover the hole may be gone with all it wrote.
	if s.polls++; s.polls%10 == 0 {
		if top, err := s.top(ctx); err != nil || s.rewound(top) {
			return err
		}
	}
	pause(ctx, coverEvery)
	return nil
}

// listen judges a silence: its rows go stale. A stream that began again below what
// was read is taken up anew: XREAD would wait for ever until it has caught up. One
// that lost its end may still have a checkpoint that knows more than we do.
func (s *stream) listen(ctx context.Context) error {
	if time.Since(s.heard) < silence {
		return nil
	}
	s.hush(true)
	top, err := s.top(ctx)
	if err != nil || s.rewound(top) || top == s.last && s.last != (codec.ID{}) {
		return err
	}
	_, err = s.load(ctx, codec.ID{Epoch: s.last.Epoch, N: s.last.N + 1})
	return err
}

// rewound gives up what is known of the stream's ids when its top is of a reign
// before ours: Redis lost everything, and the writer's clock was set back. A lower
// top of our reign is no reason: the writer's next entry follows what we know, or
// does not.
func (s *stream) rewound(top codec.ID) bool {
	if (top == codec.ID{}) || top.Epoch >= max(s.last.Epoch, s.need.Epoch) {
		return false
	}
	s.tape.counts.rewinds.Inc()
	s.tape.log.Warn("tape: the stream began again", "stream", s.name, "last", s.last, "top", top)
	s.anchored, s.last, s.need = false, codec.ID{}, codec.ID{}
	b := newBatch()
	s.tape.master.mu.Lock()
	s.turn++
	s.tape.master.settle(b, s)
	s.tape.master.mu.Unlock()
	s.send(b)
	return true
}

// top is the id of the stream's newest entry, 0-0 when there is none.
func (s *stream) top(ctx context.Context) (codec.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	tops, err := s.rdb.XRevRangeN(ctx, codec.TapeKey(s.name), "+", "-", 1).Result()
	if err != nil || len(tops) == 0 {
		return codec.ID{}, err
	}
	return codec.ParseID(tops[0].ID)
}

// load applies the stream's checkpoint when there is one that reaches need and can
// be read.
func (s *stream) load(ctx context.Context, need codec.ID) (bool, error) {
	head, err := s.peek(ctx)
	if err != nil || head.ID == (codec.ID{}) || head.ID.Less(need) {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkpointTimeout)
	defer cancel()
	blob, err := s.rdb.Get(ctx, codec.CheckpointKey(s.name)).Bytes()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	e, body, err := codec.ParseEntry(blob)
	if err == nil {
		err = s.parse(&e, body)
	}
	if err != nil {
		s.corrupt(err)
		return false, nil
	}
	// What the checkpoint changes of a row we had came by a way we do not know.
	if s.last != (codec.ID{}) {
		for i := range s.items {
			s.items[i].update.Flags |= codec.Gap
		}
	}
	s.tape.counts.checkpoints.Inc()
	s.last, s.need, s.polls, s.broken = e.ID, codec.ID{}, 0, false
	s.apply(true)
	return true, nil
}

// peek reads no more of the checkpoint than what it is as of: who waits for a newer
// one looks often, and all of it may be megabytes. No checkpoint is as of 0-0.
func (s *stream) peek(ctx context.Context) (codec.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	head, err := s.rdb.GetRange(ctx, codec.CheckpointKey(s.name), 0, headerMax).Result()
	if err != nil || head == "" {
		return codec.Entry{}, err
	}
	e, _, err := codec.ParseEntry([]byte(head))
	if err != nil {
		s.corrupt(fmt.Errorf("header: %w", err))
		return codec.Entry{}, nil
	}
	return e, nil
}

// corrupt counts a checkpoint that cannot be read, once until one can.
func (s *stream) corrupt(err error) {
	if s.broken {
		return
	}
	s.broken = true
	s.tape.counts.corrupt.Inc()
	s.tape.log.Error("tape: checkpoint", "stream", s.name, "err", err)
}
