package bench

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// survivor reads a stream of the tape into the ledger, whatever becomes of Redis: unlike
// a witness, which may call a hole the end.
type survivor struct {
	rdb    *tapes.Redis
	ledger *ledger
	stream string
	cursor codec.Cursor
	heard  time.Time // when an entry came last
}

const (
	survivorBlock  = 200 * time.Millisecond
	survivorAnswer = time.Second
	survivorDoubts = time.Second // of silence, after which the stream may have begun again
)

func newSurvivor(rdb *tapes.Redis, l *ledger, stream string) (*survivor, error) {
	c, err := codec.NewCursor(stream)
	return &survivor{rdb: rdb, ledger: l, stream: stream, cursor: c}, err
}

// run reads until ctx ends.
func (s *survivor) run(ctx context.Context) {
	for next := s.takeUp; ctx.Err() == nil; {
		err := next(ctx)
		s.rdb.Note(err)
		if err != nil {
			sleep(ctx, 50*time.Millisecond)
			continue
		}
		next = s.follow
		if silent := time.Since(s.heard) > survivorDoubts; silent || s.cursor.Need != (codec.ID{}) {
			next = s.takeUp
		}
	}
}

// follow reads the entries that have come, up to one that does not follow.
func (s *survivor) follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, survivorBlock+survivorAnswer)
	defer cancel()
	got, err := s.rdb.Now().XRead(ctx, &redis.XReadArgs{
		Streams: []string{codec.TapeKey(s.stream), s.cursor.Last.String()}, Count: 256, Block: survivorBlock,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil || len(got) == 0 {
		return err
	}
	for _, m := range got[0].Messages {
		s.heard = time.Now()
		text, _ := m.Values[codec.EntryField].(string)
		e, err := s.cursor.Take(m.ID, []byte(text))
		if err != nil {
			s.ledger.holed()
			return nil
		}
		s.ledger.enter(s.stream, &e, s.cursor.Items, false)
	}
	return nil
}

// takeUp goes on from a checkpoint that covers the hole; or, if the newest entry is below
// what was read, from whatever there is.
func (s *survivor) takeUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, survivorAnswer)
	defer cancel()
	top, err := s.top(ctx)
	if err != nil {
		return err
	}
	known := s.cursor.Last
	if known.Less(s.cursor.Need) {
		known = s.cursor.Need
	}
	blob, err := s.rdb.Now().Get(ctx, codec.CheckpointKey(s.stream)).Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	e, _, bad := codec.ParseEntry(blob)
	lost := top.Less(known)
	switch {
	case bad == nil && (lost || !e.ID.Less(known)):
		if e, err = s.cursor.Load(blob); err != nil {
			return err
		}
		s.ledger.enter(s.stream, &e, s.cursor.Items, true)
	case lost && top != (codec.ID{}):
		s.cursor.Last, s.cursor.Need = codec.ID{}, codec.ID{}
	case s.cursor.Need != (codec.ID{}):
		sleep(ctx, 50*time.Millisecond)
		return nil
	}
	return s.follow(ctx)
}

// top is the id of the newest entry, 0-0 when there is none.
func (s *survivor) top(ctx context.Context) (codec.ID, error) {
	got, err := s.rdb.Now().XRevRangeN(ctx, codec.TapeKey(s.stream), "+", "-", 1).Result()
	if err != nil || len(got) == 0 {
		return codec.ID{}, err
	}
	return codec.ParseID(got[0].ID)
}
