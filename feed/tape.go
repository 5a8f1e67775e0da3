package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// The writer's pace and what it leaves in Redis.
const (
	heartbeatEvery  = 250 * time.Millisecond // an idle stream says so, so that silence means something
	checkpointEvery = time.Second
	checkpointIdle  = 5 * time.Second // when nothing changed: retention moves on
	retention       = 30 * time.Second
	entriesMax      = 100_000 // some 30 s at 3,000 entries a second
	redisTimeout    = 2 * time.Second
	retryFirst      = 20 * time.Millisecond
	retryMost       = time.Second
)

// ErrFenced: another writer has begun a reign over the stream.
var ErrFenced = errors.New("another feed took over")

// tape writes one stream: it alone, for an id that does not follow is refused. Its
// ids are <epoch>-<n>, n without a hole.
type tape struct {
	rdb     *redis.Client
	stream  string
	log     *slog.Logger
	id      codec.ID // of the last entry written
	history int64
	marks   []mark // where the stream stood, a mark a second
	entry   []byte // scratch
	away    bool   // Redis does not answer
}

type mark struct {
	at time.Time
	n  int64
}

// openRedis connects to the tape's Redis, or says what to do.
func openRedis(ctx context.Context, url string) (*redis.Client, error) {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("feed: --redis %s: %w", url, err)
	}
	opt.MaxRetries = -1 // a retry of ours carries the same id; the driver's would not say so
	opt.DialerRetries = 1
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = redisTimeout, redisTimeout, redisTimeout
	opt.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opt)
	ctx, cancel := context.WithTimeout(ctx, 2*redisTimeout)
	defer cancel()
	if err := rdb.Ping(ctx).Err(); err != nil {
		rdb.Close()
		return nil, fmt.Errorf("feed: %s: %w; start redis-server, or use \"tickwire up\", which needs none", url, err)
	}
	return rdb, nil
}

// write appends a batch as the next entry, and after it the checkpoint, unless it is
// nil. It tries until Redis has them; only a newer reign, or ctx, ends that.
func (t *tape) write(ctx context.Context, b *batch, checkpoint *batch) error {
	e := codec.Entry{
		ID: codec.ID{Epoch: t.id.Epoch, N: t.id.N + 1}, Prev: t.id,
		History: t.history, SentAt: time.Now().UnixMicro(), Count: b.count,
	}
	t.entry = codec.AppendEntry(t.entry[:0], &e, b.body)
	if err := t.until(ctx, func(ctx context.Context) error { return t.add(ctx, e.ID, t.entry) }); err != nil {
		return err
	}
	t.id = e.ID
	if n := len(t.marks); n == 0 || time.Since(t.marks[n-1].at) > time.Second {
		t.marks = append(t.marks, mark{time.Now(), e.ID.N})
	}
	if checkpoint == nil {
		return nil
	}
	e.Count = checkpoint.count
	t.entry = codec.AppendEntry(t.entry[:0], &e, checkpoint.body)
	return t.until(ctx, func(ctx context.Context) error {
		_, err := t.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, codec.CheckpointKey(t.stream), t.entry, 0)
			return nil
		})
		if err == nil {
			err = t.rdb.SAdd(ctx, codec.TapesKey, t.stream).Err()
		}
		return err
	})
}

// until does what Redis may not answer, again and again.
func (t *tape) until(ctx context.Context, do func(context.Context) error) error {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		try, cancel := context.WithTimeout(ctx, redisTimeout)
		err := do(try)
		cancel()
		switch {
		case err == nil:
			if t.away {
				t.away = false
				t.log.Info("redis answers again", "stream", t.stream)
			}
			return nil
		case errors.Is(err, ErrFenced):
			return fmt.Errorf("feed: %s: %w (the stream is beyond %s); one feed may write a stream", t.stream, err, t.id)
		case ctx.Err() != nil:
			return ctx.Err()
		case !t.away:
			t.away = true
			t.log.Warn("redis does not answer; the newest state is kept", "stream", t.stream, "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(wait)):
		}
	}
}

// add appends an entry under its id. Done before, it is done: a lost answer makes
// no second entry.
func (t *tape) add(ctx context.Context, id codec.ID, blob []byte) error {
	args := &redis.XAddArgs{
		Stream: codec.TapeKey(t.stream), ID: id.String(), Values: []any{codec.EntryField, blob},
	}
	if from := t.keepFrom(id.N); from > 0 {
		args.MinID, args.Approx = codec.ID{Epoch: id.Epoch, N: from}.String(), true
	}
	err := t.rdb.XAdd(ctx, args).Err()
	if err == nil || !strings.Contains(err.Error(), "equal or smaller") {
		return err
	}
	top, terr := t.top(ctx)
	switch {
	case terr != nil:
		return terr
	case top == id:
		return nil
	}
	return ErrFenced
}

// keepFrom is the n below which entries of this reign may go; what is older, other
// reigns included, goes with them. 0 is nothing yet.
func (t *tape) keepFrom(n int64) int64 {
	for len(t.marks) > 1 && time.Since(t.marks[1].at) > retention {
		t.marks = t.marks[1:]
	}
	from := n - entriesMax
	if len(t.marks) > 0 && time.Since(t.marks[0].at) > retention {
		from = max(from, t.marks[0].n)
	}
	return from
}

// top is the id of the last entry ever appended; 0-0 when there is no stream.
func (t *tape) top(ctx context.Context) (codec.ID, error) {
	info, err := t.rdb.XInfoStream(ctx, codec.TapeKey(t.stream)).Result()
	if err != nil {
		if strings.Contains(err.Error(), "no such key") {
			return codec.ID{}, nil
		}
		return codec.ID{}, err
	}
	return codec.ParseID(info.LastGeneratedID)
}
