package feed

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// The writer's pace and what it leaves in Redis.
const (
	heartbeatEvery  = 250 * time.Millisecond // an idle stream says so, so that silence means something
	checkpointEvery = time.Second
	flushWithin     = time.Second // what is pending when the feed ends

	retention     = 30 * time.Second
	retentionMin  = 2 * checkpointEvery // a reader goes on from the checkpoint
	retentionMost = 24 * time.Hour
	// Bounds of a stream that is kept for half a minute; one that is for longer has as much more.
	entriesMax   = 100_000   // some 30 s at 3,000 entries a second
	retainedMax  = 256 << 20 // bytes; some 30 s at 100,000 updates a second, twice over
	redisTimeout = 2 * time.Second
	largeTimeout = 5 * time.Second // for checkpoints: 100,000 images are 15 MB
	startWithin  = 4 * time.Second // Redis answers, or the feed does not start
	retryFirst   = 20 * time.Millisecond
	retryMost    = 250 * time.Millisecond // a standby takes over in the time of a lease

	connsSpare = 8 // beside one a stream, which writes while it has its lease renewed in turn
)

// ErrFenced: another writer has begun a reign over the stream.
var ErrFenced = errors.New("another feed took over")

// tape writes one stream: it alone, for an id that does not follow is refused. Its
// ids are <epoch>-<n>, n without a hole. It belongs to the goroutine that writes.
type tape struct {
	rdb     *tapes.Redis
	stream  string
	log     *slog.Logger
	counts  *counts
	id      codec.ID // of the last entry written
	prev    codec.ID // what the next adds to: id, unless the fence is not true
	history int64
	keep    time.Duration // how long entries stay, if they are not too many or too much
	most    int64         // entries
	size    int64         // bytes
	marks   []mark        // where the stream stood, once a second of that time
	bytes   int64         // written in this reign
	covered int64         // n of the last checkpoint in it
	entry   []byte        // scratch
	line    *tapes.Line   // to the server that has the stream; nil: it failed, or was not needed yet
	bound   bool          // a reign is under way: the line leads to that server, or the reign is over
	server  int64         // the server's identity
	outage  tapes.Outage  // Redis does not take the tape
	away    string        // for what reason, as was said
	missed  tapes.Outage  // nor checkpoints

	unlisted tapes.Outage // nor the stream's name
}

// newTape is the tape of a stream; keep is how long entries stay, 0 is retention.
func newTape(rdb *tapes.Redis, stream string, keep time.Duration, c *counts, log *slog.Logger) *tape {
	if keep == 0 {
		keep = retention
	}
	more := float64(max(keep, retention)) / float64(retention)
	return &tape{
		rdb: rdb, stream: stream, keep: max(keep, retentionMin), most: int64(entriesMax * more), size: int64(retainedMax * more),
		counts: c, log: log,
	}
}

type mark struct {
	at       time.Time
	n, bytes int64
}

// write is step 5: it appends a batch as the next entry, and after it the
// checkpoint, unless that is nil. It tries until Redis has the entry; only the end of the
// reign, or of ctx, ends that. A checkpoint is tried once: the tape has what it would.
func (t *tape) write(ctx context.Context, j job) error {
	e := codec.Entry{
		ID: codec.ID{Epoch: t.id.Epoch, N: t.id.N + 1}, Prev: t.prev,
		History: t.history, SentAt: time.Now().UnixMicro(), Server: t.server, Count: j.batch.count,
	}
	t.entry = codec.AppendEntry(t.entry[:0], &e, j.batch.body)
	from := t.keepFrom(e.ID)
	err := t.until(ctx, redisTimeout, func(ctx context.Context) error { return t.add(ctx, e.ID, t.entry, from) })
	if err != nil {
		return err
	}
	t.id, t.prev = e.ID, e.ID
	t.bytes += int64(len(t.entry))
	t.counts.entries.Inc()
	t.counts.bytes.Add(float64(len(t.entry)))
	if j.checkpoint == nil {
		return nil
	}
	t.marks = append(t.marks, mark{time.Now(), e.ID.N, t.bytes})
	e.Count = j.checkpoint.count
	try, cancel := context.WithTimeout(ctx, largeTimeout)
	defer cancel()
	err = t.over(try, func(ctx context.Context) error { return t.set(ctx, &e, j.checkpoint.body) })
	switch {
	case err == nil:
		if t.missed.Ends() {
			t.log.Info("redis takes checkpoints again", "stream", t.stream)
		}
	case ctx.Err() != nil, errors.Is(err, errMoved):
		return err
	default:
		t.counts.redisErrors.Inc()
		if t.missed.Begins() {
			t.log.Warn("redis does not take the checkpoint; the tape goes on", "stream", t.stream, "err", t.rdb.Advise(err, ""))
		}
	}
	return nil
}

// set writes a checkpoint, and the stream into the list of streams, if this is still the
// server that the reign is over.
func (t *tape) set(ctx context.Context, e *codec.Entry, images []byte) error {
	now, lasts, err := t.line.Lasts(ctx, t.server)
	if err != nil {
		return err
	}
	if !lasts {
		return errMoved
	}
	t.server, e.Server = now, now
	t.entry = codec.AppendEntry(t.entry[:0], e, images)
	var set *redis.StatusCmd
	var list *redis.IntCmd
	t.line.Pipelined(ctx, func(p redis.Pipeliner) error {
		// It cannot be renewed while a large one is on its way. GT: if it is another's, it is not cut short.
		keep := leaseFor + time.Duration(len(t.entry))*checkpointPace
		p.Do(ctx, "pexpire", codec.WriterKey(t.stream), keep.Milliseconds(), "gt")
		set = p.Set(ctx, codec.CheckpointKey(t.stream), t.entry, 0)
		list = p.SAdd(ctx, codec.TapesKey, t.stream)
		return nil
	})
	if set.Err() != nil {
		return set.Err()
	}
	t.counts.checkpoints.Inc()
	t.covered = e.ID.N
	// In a Cluster the list is somewhere else. Who has read it knows the stream.
	switch err := list.Err(); {
	case err == nil:
		t.unlisted.Ends()
	default:
		t.counts.redisErrors.Inc()
		t.rdb.Note(err)
		if t.unlisted.Begins() {
			t.log.Warn("redis does not take the stream into the list: nodes that begin do not find it", "stream", t.stream, "list", codec.TapesKey, "err", t.rdb.Advise(err, ""))
		}
	}
	return nil
}

// until does what Redis may not answer, again and again.
func (t *tape) until(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		try, cancel := context.WithTimeout(ctx, limit)
		err := t.over(try, do)
		cancel()
		over := errors.Is(err, ErrFenced) || errors.Is(err, errMoved)
		if err != nil && !over && ctx.Err() == nil {
			t.counts.redisErrors.Inc()
			t.counts.away.Set(1)
		}
		switch {
		case err == nil:
			t.counts.away.Set(0)
			if t.outage.Ends() {
				t.log.Info("redis answers again", "stream", t.stream)
			}
			return nil
		case over:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case t.outage.Begins() || t.away != err.Error() && lasting(err):
			t.away = err.Error()
			t.log.Warn("redis does not take the tape; the newest state is kept", "stream", t.stream, "err", t.rdb.Advise(err, ""))
		}
		if !pause(ctx, rand.N(wait)) {
			return ctx.Err()
		}
	}
}

// add appends an entry under its id, and lets those below another id go; 0-0 is none. Done
// before, it is done: a lost answer makes no second entry.
func (t *tape) add(ctx context.Context, id codec.ID, blob []byte, from codec.ID) error {
	args := &redis.XAddArgs{
		Stream: codec.TapeKey(t.stream), ID: id.String(), Values: []any{codec.EntryField, blob},
	}
	if from != (codec.ID{}) {
		args.MinID, args.Approx = from.String(), true
	}
	err := t.line.XAdd(ctx, args).Err()
	if err == nil || !strings.Contains(err.Error(), "equal or smaller") {
		return err
	}
	// The id alone would not do: two feeds may begin in the same millisecond.
	last, err := t.line.XRevRangeN(ctx, codec.TapeKey(t.stream), "+", "-", 1).Result()
	if err != nil {
		return err
	}
	if len(last) == 1 && last[0].ID == id.String() && last[0].Values[codec.EntryField] == string(blob) {
		return nil
	}
	return &fencedError{mine: id, last: last}
}

// fencedError is ErrFenced with who did it.
type fencedError struct {
	mine codec.ID
	last []redis.XMessage
}

func (e *fencedError) Is(target error) bool { return target == ErrFenced }

func (e *fencedError) Error() string {
	if len(e.last) == 0 {
		return ErrFenced.Error() + " (redis refuses " + e.mine.String() + " on an empty stream)"
	}
	return ErrFenced.Error() + " (the stream is at " + e.last[0].ID + ", we were to write " + e.mine.String() + ")"
}

// keepFrom is the id below which entries may go when the next one is written: of this
// reign, and with them what older reigns left. 0-0 is nothing yet. What no checkpoint has
// yet goes only if it is too much.
func (t *tape) keepFrom(next codec.ID) codec.ID {
	old := func(m mark) bool {
		return m.n <= t.covered && time.Since(m.at) > t.keep || t.bytes-m.bytes > t.size || m.n <= next.N-t.most
	}
	for len(t.marks) > 1 && old(t.marks[1]) {
		t.marks = t.marks[1:]
	}
	from := next.N - t.most
	if len(t.marks) > 0 && old(t.marks[0]) {
		from = max(from, t.marks[0].n)
	}
	if from <= 0 {
		return codec.ID{}
	}
	return codec.ID{Epoch: next.Epoch, N: from}
}
