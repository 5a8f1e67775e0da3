package fanout

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// stream is one tape of a venue and shard, and how far it was read. Its goroutine
// owns it; stale is written under the master board's lock too.
//
//	begin -> follow -> hole: repair -> follow
//	           |                |
//	           +-> rewind <-----+   the newest entry is below what is known
type stream struct {
	tape   *tape
	name   string
	line   *tapes.Line   // nil: it failed, or was not needed yet
	pace   *rate.Limiter // of reads
	cursor codec.Cursor  // its Need is not 0-0: a hole

	heardAt time.Time // when the tape last spoke
	askedAt time.Time // how far it is behind

	soughtAt time.Time // when a silent one was looked for over a new line

	// What others may know of it.
	synced atomic.Bool  // it was read up to its end
	readTo atomic.Int64 // when it was so last, or had nothing that can be read, ns since the Unix epoch
	sentAt atomic.Int64 // when the newest entry read was, us since the Unix epoch
	epoch  atomic.Int64 // its reign
	behind atomic.Int64 // entries that were not read when it was asked
	stale  atomic.Bool  // its rows say so

	broken bool         // the checkpoint cannot be read, which was said
	below  codec.ID     // the newest entry, as it was seen below what is known in this silence
	failed int          // times in a row that Redis did not answer
	outage tapes.Outage // in which it does not

	// Of what was read last; see master.merge.
	older bool // a row was found to be newer
	ahead bool // such a row has a delta that is as new, of a quote that a checkpoint has

	stop    func() // ends the reader
	missing int    // times in a row that it was not listed
}

// run reads the stream until ctx ends, whatever happens to Redis.
func (s *stream) run(ctx context.Context) {
	s.heardAt = time.Now()
	s.setStale(true) // until the tape speaks, what a checkpoint says may be of yesterday
	defer s.hangUp()
	next := s.begin
	for {
		if s.line != nil && s.line.Old() {
			s.hangUp()
		}
		if s.line == nil {
			s.line = s.tape.rdb.Line(codec.TapeKey(s.name))
		}
		err := next(ctx)
		s.tape.rdb.Note(err)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.fail(ctx, err)
		case s.failed > 0:
			s.failed = 0
			if s.outage.Ends() {
				s.tape.log.Info("tape: reading again", "stream", s.name, "last", s.cursor.Last)
			}
		}
		switch {
		case s.cursor.Need != (codec.ID{}):
			next = s.repair
		case err == nil:
			next = s.follow
		}
	}
}

// fail waits before Redis is asked again. One failure, as a new connection cures it,
// is not worth telling everybody; two are.
func (s *stream) fail(ctx context.Context, err error) {
	s.tape.counts.errors.Inc()
	s.hangUp()
	s.failed++
	if s.outage.Begins() {
		s.tape.log.Warn("tape: reading", "stream", s.name, "last", s.cursor.Last, "err", s.tape.rdb.Advise(err, ""))
	}
	if s.failed > 1 || time.Since(s.heardAt) > tapes.Silence {
		s.setStale(true)
	}
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		s.caughtUp(true) // nothing to wait for
	}
	sleep(ctx, rand.N(min(retryMost, retryFirst<<min(s.failed-1, 5))))
}

// follow reads the entries that have come, or waits for some.
func (s *stream) follow(ctx context.Context) error {
	entries, err := s.read(ctx)
	if err != nil {
		return err
	}
	for i := range entries {
		s.heardAt, s.below = time.Now(), codec.ID{}
		if why := s.accept(&entries[i]); why != "" {
			return s.hole(ctx, &entries[i], why)
		}
		if s.cursor.Need != (codec.ID{}) {
			return nil // of a row that is ahead: what is left is read again after the checkpoint
		}
	}
	if int64(len(entries)) == s.most() {
		return s.lag(ctx)
	}
	s.caughtUp(s.failed == 0)
	if time.Since(s.heardAt) > tapes.Silence {
		s.setStale(true)
		err = s.rewind(ctx)
		if time.Since(s.soughtAt) > seekEvery {
			s.soughtAt = time.Now()
			s.hangUp() // it may be a master no more, which nobody could tell us
		}
	}
	return err
}

// hangUp has the next command go over a new line.
func (s *stream) hangUp() {
	if s.line != nil {
		s.line.Close()
		s.line = nil
	}
}

// read waits for entries after the last; none is no error.
func (s *stream) read(ctx context.Context) ([]redis.XMessage, error) {
	if err := s.pace.Wait(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, xreadBlock+redisTimeout)
	defer cancel()
	got, err := s.line.XRead(ctx, &redis.XReadArgs{
		Streams: []string{codec.TapeKey(s.name), s.cursor.Last.String()}, Count: s.most(), Block: xreadBlock,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil || len(got) == 0 {
		return nil, err
	}
	return got[0].Messages, nil
}

// most is how many entries are read at once.
func (s *stream) most() int64 {
	if s.failed > 0 {
		return 1 // a slow line may not carry more in time
	}
	return xreadCount
}

// caughtUp notes that there is no more to be read now; all is whether ever was.
func (s *stream) caughtUp(all bool) {
	if all {
		s.synced.Store(true)
	}
	s.readTo.Store(time.Now().UnixNano())
	s.behind.Store(0)
}

// lag asks once a second how far a stream is behind that always has more to be read.
func (s *stream) lag(ctx context.Context) error {
	if time.Since(s.askedAt) < time.Second {
		return nil
	}
	s.askedAt = time.Now()
	top, err := s.top(ctx)
	if err == nil && top.Epoch == s.cursor.Last.Epoch {
		s.behind.Store(max(0, top.N-s.cursor.Last.N))
	}
	return err
}

// accept applies the next entry, or says why a checkpoint is needed.
func (s *stream) accept(m *redis.XMessage) (why string) {
	last := s.cursor.Last
	e, err := s.cursor.Take(m.ID, tapes.EntryBytes(m))
	switch {
	case err == nil:
	case err != codec.ErrHole:
		s.tape.log.Warn("tape: an entry cannot be read", "stream", s.name, "entry", m.ID, "err", err)
		return holeCorrupt
	case e.ID.Epoch != last.Epoch && e.ID.N == 0:
		return holeReign
	default:
		return holeLost
	}
	s.tape.counts.entries.Inc()
	s.apply(false)
	s.sentAt.Store(e.SentAt)
	s.tape.counts.latency.Observe(time.Since(time.UnixMicro(e.SentAt)).Seconds())
	if s.reads(e.ID.Epoch) {
		s.tape.log.Info("tape: another reign", "stream", s.name, "entry", e.ID)
	}
	return ""
}

// reads notes the reign that is read, and whether it is another than before.
func (s *stream) reads(epoch int64) (another bool) {
	before := s.epoch.Swap(epoch)
	if another = before != 0 && before != epoch; another {
		s.tape.counts.epochs.Inc()
	}
	return another
}

// apply brings what the cursor has read to the master board. It is an entry's, with
// which the tape speaks; or a checkpoint's, which is the whole state.
func (s *stream) apply(checkpoint bool) {
	refused := 0
	s.change(func(m *master, b *batch) {
		if checkpoint {
			m.doubt(s)
		}
		spoke := !checkpoint && s.synced.Load() && s.stale.Swap(false) // before its end is read, it may be of yesterday
		for i := range s.cursor.Items {
			if !m.merge(b, s, s.cursor.Items[i].Symbol, &s.cursor.Items[i].Update) {
				refused++
			}
		}
		if checkpoint || spoke || s.older {
			m.restate(b, s)
		}
	})
	if s.ahead && !checkpoint {
		s.cursor.Need = s.cursor.Last
	}
	if s.older {
		s.tape.counts.holes[holeOlder].Inc()
		s.tape.log.Warn("tape: quotes are older than what was shown, and stale until they are newer, or a feed begins whose clock is right", "stream", s.name, "last", s.cursor.Last)
	}
	s.older, s.ahead = false, false
	s.tape.counts.updates.Add(float64(len(s.cursor.Items)))
	s.tape.counts.refused.Add(float64(refused))
}

// setStale has the stream's rows say stale, or what the tape says.
func (s *stream) setStale(stale bool) {
	if s.stale.Load() == stale {
		return
	}
	s.change(func(m *master, b *batch) {
		s.stale.Store(stale)
		m.restate(b, s)
	})
}

// change changes the master board and posts what that changed, if anything.
func (s *stream) change(do func(*master, *batch)) {
	m, b := s.tape.master, newBatch()
	m.mu.Lock()
	do(m, b)
	m.publish()
	m.mu.Unlock()
	if len(b.updates) == 0 {
		b.release()
		return
	}
	s.tape.post(b)
}
