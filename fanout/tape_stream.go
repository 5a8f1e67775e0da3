package fanout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// stream is one tape of a venue and shard, and how far it was read. Its goroutine
// owns it; quiet and turn are written under the master board's lock too.
//
// It is in one of three states: not anchored, when it begins with whatever
// checkpoint there is; in need of a checkpoint that covers a hole; or following.
type stream struct {
	tape *tape
	name string
	rdb  *redis.Client

	anchored bool
	need     codec.ID // what a checkpoint must reach; 0-0: no hole
	last     codec.ID // of the newest entry applied; 0-0: none

	heard  time.Time // when the tape last spoke
	quiet  bool      // its rows say stale
	turn   uint64    // counts the times its whole state was read or given up
	synced atomic.Bool
	failed int    // times in a row that Redis did not answer
	polls  int    // looks for the checkpoint a hole needs
	broken bool   // the checkpoint cannot be read, which was said
	items  []item // scratch: the updates of an entry
}

// item is an update of an entry; symbol is a view into it.
type item struct {
	symbol []byte
	update codec.Update
}

// itemsKept is the most items worth keeping for the next entry.
const itemsKept = 8192

// run reads the stream until ctx ends, whatever happens to Redis.
func (s *stream) run(ctx context.Context) {
	s.rdb = redis.NewClient(s.tape.opt)
	// The driver does not see the end of ctx in a blocked read, but that of its socket.
	stop := context.AfterFunc(ctx, func() { s.rdb.Close() })
	defer stop()
	defer s.rdb.Close()
	s.heard = time.Now()
	s.hush(true) // until the tape speaks, what a checkpoint says may be of yesterday
	for {
		err := s.step(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !s.fail(ctx, err) {
				return
			}
		} else if s.failed > 0 {
			s.failed = 0
			s.tape.log.Info("tape: reading again", "stream", s.name, "last", s.last)
		}
	}
}

// step does the next thing, which takes a round trip or three. An error is Redis's.
func (s *stream) step(ctx context.Context) error {
	switch {
	case !s.anchored:
		return s.anchor(ctx)
	case s.need != codec.ID{}:
		return s.repair(ctx)
	}
	return s.follow(ctx)
}

// fail waits before Redis is asked again. One failure, as a new connection cures it,
// is not worth telling everybody; two are.
func (s *stream) fail(ctx context.Context, err error) bool {
	s.tape.counts.errors.Inc()
	if s.failed++; s.failed == 1 {
		s.tape.log.Warn("tape: reading", "stream", s.name, "last", s.last, "err", err)
	}
	if s.failed > 1 || time.Since(s.heard) > silence {
		s.hush(true)
	}
	return pause(ctx, rand.N(min(retryMost, retryFirst<<min(s.failed-1, 5))))
}

// follow reads the entries that have come, or waits for some.
func (s *stream) follow(ctx context.Context) error {
	entries, err := s.read(ctx)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		s.synced.Store(true)
		return s.listen(ctx)
	}
	s.heard = time.Now()
	for i := range entries {
		if err := s.take(&entries[i]); err != nil {
			s.tape.counts.holes.Inc()
			s.tape.log.Warn("tape: a checkpoint is needed", "stream", s.name, "last", s.last, "need", s.need, "err", err)
			return nil
		}
	}
	if s.failed == 0 && len(entries) < xreadCount {
		s.synced.Store(true) // there were no more
	}
	return nil
}

// read waits for entries after the last; none is no error.
func (s *stream) read(ctx context.Context) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, xreadBlock+redisTimeout)
	defer cancel()
	count := int64(xreadCount)
	if s.failed > 0 {
		count = 1 // a slow line may not carry more in time
	}
	got, err := s.rdb.XRead(ctx, &redis.XReadArgs{
		Streams: []string{codec.TapeKey(s.name), s.last.String()}, Count: count, Block: xreadBlock,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil || len(got) == 0 {
		return nil, err
	}
	return got[0].Messages, nil
}

var (
	errHole    = errors.New("it does not follow")
	errOtherID = errors.New("it says it is another")
)

// take applies the next entry. An error is a hole, and s.need what a checkpoint must
// reach to cover it.
func (s *stream) take(m *redis.XMessage) error {
	id, err := codec.ParseID(m.ID)
	if err != nil {
		id = codec.ID{Epoch: codec.MaxInt} // no writer's: until the stream is begun anew
	}
	e, body, perr := codec.ParseEntry(entryBytes(m))
	switch {
	case err == nil && perr != nil:
		err = perr
	case err == nil && e.ID != id:
		err = errOtherID
	case err == nil && !s.follows(&e):
		if s.need = e.Prev; e.ID.N == 0 {
			s.need = e.ID // a new reign that knows less, or more, than we do
		}
		return errHole
	}
	if err == nil {
		err = s.parse(&e, body)
	}
	if err != nil {
		s.need = id
		s.tape.counts.corrupt.Inc()
		return fmt.Errorf("entry %s: %w", m.ID, err)
	}
	s.tape.counts.entries.Inc()
	s.last = e.ID
	s.apply(false)
	return nil
}

// entryBytes is an entry's one value. The driver made the string for us, so that its
// bytes can be read where they are.
func entryBytes(m *redis.XMessage) []byte {
	text, _ := m.Values[codec.EntryField].(string)
	return unsafe.Slice(unsafe.StringData(text), len(text))
}

// follows reports whether nothing is missing before an entry: it is the next of its
// reign, or begins one that knows what we know.
func (s *stream) follows(e *codec.Entry) bool {
	if e.ID.N == 0 {
		return s.last.Less(e.ID) && e.Prev == s.last
	}
	return e.ID == codec.ID{Epoch: s.last.Epoch, N: s.last.N + 1}
}

// parse reads an entry's updates into s.items: all of them, before any is applied.
func (s *stream) parse(e *codec.Entry, body []byte) error {
	s.items = s.items[:0]
	for range e.Count {
		n := len(s.items)
		if n < cap(s.items) {
			s.items = s.items[:n+1]
		} else {
			s.items = append(s.items, item{})
		}
		it := &s.items[n]
		var err error
		if it.symbol, body, err = codec.ParseTapeUpdate(body, &it.update); err != nil {
			return err
		}
		if it.update.Flags&codec.Image == 0 {
			it.update.History = e.History
		}
	}
	if len(body) > 0 {
		return codec.ErrTrailing
	}
	return nil
}

// apply brings s.items to the master board and posts what they changed. They are an
// entry's, with which the tape speaks; or a checkpoint's, which is the whole state.
func (s *stream) apply(checkpoint bool) {
	m, b := s.tape.master, newBatch()
	m.mu.Lock()
	if checkpoint {
		s.turn++
	} else if s.quiet {
		m.hush(b, s, false)
	}
	for i := range s.items {
		m.take(b, s, s.items[i].symbol, &s.items[i].update)
	}
	if checkpoint {
		m.settle(b, s)
	}
	m.publish()
	m.mu.Unlock()
	s.tape.counts.updates.Add(float64(len(s.items)))
	if cap(s.items) > itemsKept {
		s.items = nil
	}
	s.send(b)
}

// hush has the stream's rows say stale, or what the tape says.
func (s *stream) hush(quiet bool) {
	if s.quiet == quiet {
		return
	}
	b := newBatch()
	s.tape.master.mu.Lock()
	s.tape.master.hush(b, s, quiet)
	s.tape.master.mu.Unlock()
	s.send(b)
}

// send posts a batch, if there is anything in it.
func (s *stream) send(b *batch) {
	if len(b.updates) == 0 {
		b.release()
		return
	}
	s.tape.post(b)
}
