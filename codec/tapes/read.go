package tapes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// The bounds of who reads a tape, and the pace of who looks at it.
const (
	// Silence is after how long without an entry something is wrong: an idle stream has a
	// heartbeat every 250 ms.
	Silence = 1500 * time.Millisecond
	// StreamsMax is how many streams are read: a goroutine and a connection each.
	StreamsMax = 256

	smallTimeout = 2 * time.Second        // of all answers but a checkpoint's
	blockFor     = 500 * time.Millisecond // a read waits, and smallTimeout
	pageCount    = 64                     // entries a read, of some 256 KiB at the most
	pageEvery    = 5 * time.Millisecond   // else a read brings one entry, and costs as much as for 64
)

// Streams lists the streams of the tape by name; of those wanted, it is an error if one is
// not there. Without any wanted there may be none.
func (r *Redis) Streams(ctx context.Context, wanted ...string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, smallTimeout)
	defer cancel()
	there, err := r.Now().SMembers(ctx, codec.TapesKey).Result()
	if err != nil {
		return nil, r.failed(err)
	}
	slices.Sort(there)
	if len(wanted) == 0 {
		return there, nil
	}
	for _, name := range wanted {
		switch {
		case slices.Contains(there, name):
		case len(there) == 0:
			return nil, fmt.Errorf("there is no stream %.80q, nor any other: is a feed running?", name)
		default:
			return nil, fmt.Errorf("there is no stream %.80q: there are %.2000s", name, codec.Printable(strings.Join(there, ", ")))
		}
	}
	wanted = slices.Clone(wanted)
	slices.Sort(wanted)
	return slices.Compact(wanted), nil
}

// failed says where what failed is.
func (r *Redis) failed(err error) error {
	if late(err) {
		err = fmt.Errorf("no answer in time: %w", err)
	}
	return fmt.Errorf("redis at %s: %w", r.At, err)
}

// spoken reports whether Redis answered, and the error is what it said of a key: of another
// type, say. Nothing else of the tape is wrong for it.
func spoken(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// look is a stream as it was at one moment.
type look struct {
	first, last     *redis.XMessage // nil: there is none
	length          int64
	head            []byte // of the checkpoint
	writer, standby string // names, of the second with how many streams it writes
}

// look takes one. All keys are of one slot.
func (r *Redis) look(ctx context.Context, stream string) (l look, err error) {
	ctx, cancel := context.WithTimeout(ctx, smallTimeout)
	defer cancel()
	var ends [2]*redis.XMessageSliceCmd
	var length *redis.IntCmd
	var texts [3]*redis.StringCmd
	said, _ := r.Now().Pipelined(ctx, func(p redis.Pipeliner) error { // MULTI would be refused by one that is full
		ends[0] = p.XRangeN(ctx, codec.TapeKey(stream), "-", "+", 1)
		ends[1] = p.XRevRangeN(ctx, codec.TapeKey(stream), "+", "-", 1)
		length = p.XLen(ctx, codec.TapeKey(stream))
		texts[0] = p.GetRange(ctx, codec.CheckpointKey(stream), 0, codec.HeaderMax-1)
		texts[1] = p.Get(ctx, codec.WriterKey(stream))
		texts[2] = p.Get(ctx, codec.StandbyKey(stream))
		return nil
	})
	for _, cmd := range said {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return l, r.failed(err)
		}
	}
	for i, to := range []**redis.XMessage{&l.first, &l.last} {
		if got := ends[i].Val(); len(got) > 0 {
			*to = &got[0]
		}
	}
	l.length, l.head = length.Val(), []byte(texts[0].Val())
	l.writer, _, _ = strings.Cut(texts[1].Val(), " ")
	if words := strings.Fields(texts[2].Val()); len(words) > 0 && words[0] != l.writer { // else its last word
		l.standby = strings.Join(slices.Delete(words, 1, min(2, len(words))), " ")
	}
	return l, nil
}

// checkpoint reads the header of a stream's checkpoint; 0-0 when there is none.
func (r *Redis) checkpoint(ctx context.Context, stream string) (codec.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, smallTimeout)
	defer cancel()
	head, err := r.Now().GetRange(ctx, codec.CheckpointKey(stream), 0, codec.HeaderMax-1).Bytes()
	if err != nil {
		return codec.Entry{}, r.failed(err)
	}
	if len(head) == 0 {
		return codec.Entry{}, nil
	}
	e, _, err := codec.ParseEntry(head)
	if err != nil {
		err = &unreadable{err}
	}
	return e, err
}

// images reads the checkpoint into a cursor; redis.Nil when there is none.
func (r *Redis) images(ctx context.Context, stream string, c *codec.Cursor) (codec.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	blob, err := r.Now().Get(ctx, codec.CheckpointKey(stream)).Bytes()
	if err != nil {
		return codec.Entry{}, r.failed(err)
	}
	e, err := c.Load(blob)
	return e, newUnreadable(stream, blob, err)
}

// unreadable is what is wrong with an entry, or a checkpoint: all else about Redis is well.
type unreadable struct{ error }

func (e *unreadable) Unwrap() error { return e.error }

// newUnreadable is nil for nil. Of what is out of range it tells which symbol is another
// venue's, if one is.
func newUnreadable(stream string, blob []byte, err error) error {
	if err == nil {
		return nil
	}
	venue, _, _ := strings.Cut(stream, "/")
	e, body, bad := codec.ParseEntry(blob)
	for n := 0; errors.Is(err, codec.ErrRange) && bad == nil && n < e.Count; n++ {
		var u codec.Update
		var symbol []byte
		symbol, body, bad = codec.ParseTapeUpdate(body, &u)
		if of, _, _ := strings.Cut(string(symbol), ":"); bad == nil && of != venue {
			return &unreadable{fmt.Errorf("%s is another venue's: %w", symbol, err)}
		}
	}
	return &unreadable{err}
}

// back visits the entries from the newest to the oldest, until visit has enough.
func (r *Redis) back(ctx context.Context, stream string, visit func(*redis.XMessage) bool) error {
	for from := "+"; ; {
		page, cancel := context.WithTimeout(ctx, smallTimeout)
		entries, err := r.Now().XRevRangeN(page, codec.TapeKey(stream), from, "-", pageCount).Result()
		cancel()
		if err != nil {
			return r.failed(err)
		}
		for i := range entries {
			if !visit(&entries[i]) {
				return nil
			}
			from = "(" + entries[i].ID
		}
		if len(entries) < pageCount {
			return nil
		}
	}
}

// reader reads a stream onwards. It belongs to one goroutine.
type reader struct {
	*Redis
	stream string
	cursor codec.Cursor
	last   string // id of the entry parsed last, as Redis has it; "0-0": none
	full   bool   // the page read last is: there are more
}

func (r *Redis) reader(stream string) (*reader, error) {
	cursor, err := codec.NewCursor(stream)
	return &reader{Redis: r, stream: stream, cursor: cursor, last: "0-0"}, err
}

// next waits a while for entries after the last; none is no error.
func (r *reader) next(ctx context.Context) ([]redis.XMessage, error) {
	if !r.full && !sleep(ctx, pageEvery) {
		return nil, ctx.Err()
	}
	r.full = false
	ctx, cancel := context.WithTimeout(ctx, blockFor+smallTimeout)
	defer cancel()
	got, err := r.Now().XRead(ctx, &redis.XReadArgs{
		Streams: []string{codec.TapeKey(r.stream), r.last}, Count: pageCount, Block: blockFor,
	}).Result()
	if errors.Is(err, redis.Nil) || err == nil && len(got) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, r.failed(err)
	}
	r.full = len(got[0].Messages) == pageCount
	return got[0].Messages, nil
}

// between visits the entries after one and up to another that there are.
func (r *reader) between(ctx context.Context, after, to codec.ID, visit func(*redis.XMessage)) error {
	r.last, r.full = after.String(), true
	for r.full {
		page, cancel := context.WithTimeout(ctx, smallTimeout)
		entries, err := r.Now().XRangeN(page, codec.TapeKey(r.stream), "("+r.last, to.String(), pageCount).Result()
		cancel()
		if err != nil {
			return r.failed(err)
		}
		for i := range entries {
			r.last = entries[i].ID
			visit(&entries[i])
		}
		r.full = len(entries) == pageCount
	}
	return nil
}

// parse reads an entry into the cursor's items, whatever it follows.
func (r *reader) parse(m *redis.XMessage) (codec.Entry, error) {
	blob := EntryBytes(m)
	if e, _, err := codec.ParseEntry(blob); err == nil {
		r.cursor.Last = e.Prev
	}
	e, err := r.cursor.Take(m.ID, blob)
	return e, newUnreadable(r.stream, blob, err)
}

// EntryBytes is the one value of an entry. It is not copied, for the driver made the string
// for us: the bytes must not be changed.
func EntryBytes(m *redis.XMessage) []byte {
	text, _ := m.Values[codec.EntryField].(string)
	return unsafe.Slice(unsafe.StringData(text), len(text))
}

// before is the greatest id below another.
func before(id codec.ID) codec.ID {
	switch {
	case id.N > 0:
		return codec.ID{Epoch: id.Epoch, N: id.N - 1}
	case id.Epoch > 0:
		return codec.ID{Epoch: id.Epoch - 1, N: codec.MaxInt}
	}
	return id
}

// sleep waits; false when ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
