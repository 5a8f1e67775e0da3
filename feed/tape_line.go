package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// openRedis connects to the tape's Redis, or says what to do. No error has the URL in
// it, which may hold a password.
func openRedis(ctx context.Context, url string, streams int) (*tapes.Redis, error) {
	rdb, err := tapes.Open(url, tapes.Role{Name: "tickwire-feed", Conns: streams + connsSpare})
	if err != nil {
		return nil, fmt.Errorf("feed: --redis: %w", err)
	}
	// The driver does not see the end of ctx in a blocked read, but that of its socket.
	defer context.AfterFunc(ctx, func() { rdb.Close() })()
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	err = rdb.Check(ctx)
	for redis.IsLoadingError(err) && pause(ctx, 100*time.Millisecond) {
		err = rdb.Check(ctx)
	}
	if err != nil {
		rdb.Close()
		return nil, fmt.Errorf("feed: redis at %s: %w", rdb.At, rdb.Advise(err, `start redis-server, or use "tickwire up", which needs none`))
	}
	return rdb, nil
}

// passing are the errors of a Redis that will not say so for ever.
var passing = []string{"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "MOVED", "ASK", "NOREPLICAS", "BUSY", "MISCONF", "OOM",
	"max number of clients"}

// lasting reports whether an error is what Redis says or has, and to be expected again.
func lasting(err error) bool {
	if _, said := errors.AsType[redis.Error](err); !said {
		return errors.Is(err, errForeign) || errors.Is(err, codec.ErrSyntax)
	}
	for _, prefix := range passing {
		if redis.HasErrorPrefix(err, prefix) {
			return false
		}
	}
	return true
}

// errMoved ends a reign: what is reached now is another server, or the same without all of
// its data. There may be entries there that are not ours, and on the one before some that
// are nobody's by now: a new reign is above both, and its seqs are.
var errMoved = errors.New("this is another redis, or it was started anew")

// over does something over the line, which is connected anew if it has failed.
func (t *tape) over(ctx context.Context, do func(context.Context) error) error {
	var err error
	if t.line == nil {
		t.line = t.rdb.Line(codec.TapeKey(t.stream))
		err = t.stays(ctx)
	}
	if err == nil {
		err = do(ctx)
	}
	t.rdb.Note(err)
	if err != nil && !errors.Is(err, ErrFenced) {
		t.hangUp() // after some errors it would never do again: it may have been refused itself
	}
	return err
}

// stays finds out whether a new line leads to the server of the reign.
func (t *tape) stays(ctx context.Context) error {
	if !t.bound {
		return nil
	}
	now, lasts, err := t.line.Lasts(ctx, t.server)
	if err == nil && !lasts {
		return errMoved
	}
	if err == nil {
		t.server = now
	}
	return err
}

func (t *tape) hangUp() {
	if t.line != nil {
		t.line.Close()
		t.line = nil
	}
}
