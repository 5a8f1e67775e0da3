package fanout

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// begin takes up the stream from its checkpoint. Without one it is read from its
// beginning, which the cursor finds out not to be the beginning, if so.
func (s *stream) begin(ctx context.Context) error {
	_, err := s.load(ctx)
	return err
}

// hole counts one, before which entry it is and why.
func (s *stream) hole(ctx context.Context, m *redis.XMessage, why string) error {
	var err error
	if why == holeLost {
		short, cancel := context.WithTimeout(ctx, redisTimeout)
		defer cancel()
		var first []redis.XMessage
		first, err = s.line.XRangeN(short, codec.TapeKey(s.name), "-", "+", 1).Result()
		if err == nil && len(first) > 0 && first[0].ID == m.ID {
			why = holeTrimmed
		}
	}
	if why == holeCorrupt {
		s.tape.counts.corrupt.Inc()
	}
	s.tape.counts.holes[why].Inc()
	s.tape.log.Warn("tape: a checkpoint is needed", "stream", s.name, "reason", why, "entry", m.ID, "last", s.cursor.Last, "need", s.cursor.Need)
	return err
}

// repair loads the checkpoint that covers a hole, or waits for it.
func (s *stream) repair(ctx context.Context) error {
	loaded, err := s.load(ctx)
	if err != nil || loaded {
		return err
	}
	s.readTo.Store(time.Now().UnixNano()) // all there is: another node has no more
	s.setStale(true)
	if time.Since(s.heardAt) > brokenAfter {
		s.synced.Store(true) // nothing to wait for: it is known to be broken
	}
	if err := s.rewind(ctx); err != nil {
		return err
	}
	sleep(ctx, coverEvery)
	return nil
}

// rewind takes up the stream anew if its newest entry is below what is known of it, and
// yet another than when it was looked for last: Redis lost some or all of it, and its feed
// goes on. XREAD would wait for ever for what comes after. What stands still below is a dead
// feed's, or a replica's that lags: what is known stays. One that catches up meanwhile is
// taken up, too: no quote that was shown is older than what it has then.
func (s *stream) rewind(ctx context.Context) error {
	known := s.cursor.Last
	if known.Less(s.cursor.Need) {
		known = s.cursor.Need
	}
	top, err := s.top(ctx)
	before := s.below
	if s.below = (codec.ID{}); err != nil || !top.Less(known) {
		return err
	}
	if before == (codec.ID{}) || top == before {
		s.below = top
		return s.advance(ctx, known)
	}
	s.tape.log.Warn("tape: the stream began again", "stream", s.name, "last", s.cursor.Last, "top", top)
	need := s.cursor.Need
	s.cursor.Need = codec.ID{}
	loaded, err := s.load(ctx)
	if err != nil {
		s.cursor.Need = need
		return err
	}
	s.tape.counts.holes[holeBack].Inc()
	// Without a checkpoint the tape is all there is. An empty one may yet go on from
	// what we have.
	if loaded || top == (codec.ID{}) || top == s.cursor.Last {
		return nil
	}
	s.cursor.Last = codec.ID{}
	s.change(func(m *master, b *batch) {
		m.doubt(s)
		m.restate(b, s)
	})
	return nil
}

// advance loads the checkpoint if that is above what is known.
func (s *stream) advance(ctx context.Context, known codec.ID) error {
	last, need := s.cursor.Last, s.cursor.Need
	s.cursor.Need = codec.ID{Epoch: known.Epoch, N: known.N + 1}
	_, err := s.load(ctx)
	if s.cursor.Last == last {
		s.cursor.Need = need
	}
	return err
}

// top is the id of the stream's newest entry, 0-0 when there is none.
func (s *stream) top(ctx context.Context) (codec.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	tops, err := s.line.XRevRangeN(ctx, codec.TapeKey(s.name), "+", "-", 1).Result()
	if err != nil || len(tops) == 0 {
		return codec.ID{}, err
	}
	id, err := codec.ParseID(tops[0].ID)
	if err != nil {
		id = codec.ID{Epoch: codec.MaxInt, N: codec.MaxInt} // as the cursor has it
	}
	return id, nil
}

// load applies the checkpoint, if there is one that covers what is needed and can be
// read. Its header is read first, which is all that a wait for it costs.
func (s *stream) load(ctx context.Context) (bool, error) {
	key := codec.CheckpointKey(s.name)
	short, cancel := context.WithTimeout(ctx, redisTimeout)
	head, err := s.line.GetRange(short, key, 0, codec.HeaderMax-1).Bytes()
	cancel()
	if err != nil || len(head) == 0 {
		return false, err
	}
	e, _, err := codec.ParseEntry(head)
	if err == nil && e.ID.Less(s.cursor.Need) {
		return false, nil
	}
	if err == nil && e.ID == s.cursor.Last && s.cursor.Need == (codec.ID{}) {
		return true, nil // it says what is known
	}
	began := time.Now()
	if err == nil {
		long, cancel := context.WithTimeout(ctx, checkpointTimeout)
		blob, away := s.line.Get(long, key).Bytes()
		cancel()
		if away != nil {
			return false, away
		}
		// Meanwhile it may have become another.
		if e, _, err = codec.ParseEntry(blob); err == nil && e.ID.Less(s.cursor.Need) {
			return false, nil
		}
		_, err = s.cursor.Load(blob)
	}
	if err != nil {
		s.corrupt(err)
		return false, nil
	}
	s.broken = false
	s.tape.counts.checkpoints.Inc()
	s.tape.log.Info("tape: checkpoint", "stream", s.name, "last", s.cursor.Last)
	s.apply(true)
	s.reads(e.ID.Epoch)
	s.tape.counts.readback.Observe(time.Since(began).Seconds())
	return true, nil
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
