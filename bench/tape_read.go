package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// How a node reads the tape, without its code: see fanout/tape.go.
const (
	nodeBlock     = 500 * time.Millisecond
	nodeCount     = 64
	nodeReadEvery = time.Millisecond
	nodeReadBurst = 4

	singleCount = 1000 // where an entry is one update, 64 would be little
)

// tapeReader brings updates from Redis to a board, as a node does, and times them.
type tapeReader struct {
	rdb   *tapes.Redis
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu   sync.Mutex // protects what follows
	rows map[string]*tapeRow
	took tapeCounts

	from, to int64 // us since the Unix epoch: updates that were due then are timed
	arrived  int64 // of them
	latency  *hdrhistogram.Histogram
	failed   error

	items [1]codec.TapeItem // scratch of its goroutine
	dues  []int64           // likewise
}

// tapeRow is a symbol on the board.
type tapeRow struct {
	seq   int64
	quote codec.Quote
}

// tapeCounts is what was read so far.
type tapeCounts struct {
	reads    int64 // that brought something, of all readers
	messages int64 // entries, or what was published
	updates  int64
	bytes    int64 // of updates, and of entries' headers
	missed   int64 // seqs that were passed over
}

func newTapeReader(rdb *tapes.Redis) *tapeReader {
	return &tapeReader{rdb: rdb, rows: make(map[string]*tapeRow), latency: newHistogram()}
}

// begin has a transport read by one that brings it to the board, and by others beside that
// take what comes and do not look at it.
func (r *tapeReader) begin(ctx context.Context, t transport, beside int) error {
	ctx, r.stop = context.WithCancel(ctx)
	if t.as == asPublish {
		for n := range 1 + beside {
			take := func(text string) error { return r.takeUpdate([]byte(text)) }
			if n > 0 {
				take = func(string) error { return nil }
			}
			if err := r.listen(ctx, take); err != nil {
				return err
			}
		}
		return nil
	}
	if t.as == asXAdd {
		r.spawn(ctx, func(ctx context.Context) error { return r.follow(ctx, eachKey, singleCount, r.takeSingle) })
		r.beside(ctx, eachKey, singleCount, beside)
		return nil
	}
	cursor, err := codec.NewCursor(tapeStream)
	if err != nil {
		return err
	}
	take := func(m *redis.XMessage) error { return r.takeEntry(&cursor, m) }
	r.spawn(ctx, func(ctx context.Context) error { return r.follow(ctx, codec.TapeKey(tapeStream), nodeCount, take) })
	r.beside(ctx, codec.TapeKey(tapeStream), nodeCount, beside)
	return nil
}

// beside begins readers of a stream that do not look at what comes.
func (r *tapeReader) beside(ctx context.Context, key string, count int64, n int) {
	for range n {
		r.spawn(ctx, func(ctx context.Context) error {
			return r.follow(ctx, key, count, func(*redis.XMessage) error { return nil })
		})
	}
}

// listen begins a reader of what is published.
func (r *tapeReader) listen(ctx context.Context, take func(string) error) error {
	sub := r.rdb.Now().Subscribe(ctx, eachKey)
	if _, err := sub.Receive(ctx); err != nil {
		sub.Close()
		return fmt.Errorf("bench: SUBSCRIBE: %w", err)
	}
	context.AfterFunc(ctx, func() { sub.Close() })
	r.spawn(ctx, func(ctx context.Context) error {
		for {
			m, err := sub.ReceiveMessage(ctx)
			if err != nil {
				return fmt.Errorf("redis has cut it off: %w", err) // it does so to who is too slow
			}
			if err := take(m.Payload); err != nil {
				return err
			}
		}
	})
	return nil
}

func (r *tapeReader) spawn(ctx context.Context, read func(context.Context) error) {
	r.ended.Go(func() {
		if err := read(ctx); err != nil && ctx.Err() == nil {
			r.mu.Lock()
			r.failed = errors.Join(r.failed, fmt.Errorf("bench: a reader: %w", err))
			r.mu.Unlock()
		}
	})
}

// close ends the readers.
func (r *tapeReader) close() {
	if r.stop != nil {
		r.stop()
	}
	r.rdb.Close() // the driver does not see the end of ctx in a read, but that of its socket
	r.ended.Wait()
}

// follow reads a stream onwards, over one connection.
func (r *tapeReader) follow(ctx context.Context, key string, count int64, take func(*redis.XMessage) error) error {
	line := r.rdb.Line(key)
	defer line.Close()
	pace := rate.NewLimiter(rate.Every(nodeReadEvery), nodeReadBurst)
	for last := "0-0"; ; {
		if err := pace.Wait(ctx); err != nil {
			return err
		}
		got, err := line.XRead(ctx, &redis.XReadArgs{Streams: []string{key, last}, Count: count, Block: nodeBlock}).Result()
		if errors.Is(err, redis.Nil) || err == nil && len(got) == 0 {
			continue
		}
		if err != nil {
			return err
		}
		messages := got[0].Messages
		for i := range messages {
			if err := take(&messages[i]); err != nil {
				return fmt.Errorf("entry %s: %w", messages[i].ID, err)
			}
		}
		last = messages[len(messages)-1].ID
		r.mu.Lock()
		r.took.reads++
		r.mu.Unlock()
	}
}

// takeEntry takes an entry of the tape.
func (r *tapeReader) takeEntry(c *codec.Cursor, m *redis.XMessage) error {
	blob := tapes.EntryBytes(m)
	if _, err := c.Take(m.ID, blob); err != nil {
		return err
	}
	r.merge(c.Items, len(blob))
	return nil
}

// takeSingle takes an entry that is one update.
func (r *tapeReader) takeSingle(m *redis.XMessage) error {
	return r.takeUpdate(tapes.EntryBytes(m))
}

func (r *tapeReader) takeUpdate(blob []byte) (err error) {
	it := &r.items[0]
	if it.Symbol, _, err = codec.ParseTapeUpdate(blob, &it.Update); err != nil {
		return err
	}
	r.merge(r.items[:], len(blob))
	return nil
}

// merge brings a message to the board. When that is done all of its updates have arrived.
func (r *tapeReader) merge(items []codec.TapeItem, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dues = r.dues[:0]
	for i := range items {
		u := &items[i].Update
		row := r.rows[string(items[i].Symbol)]
		if row == nil {
			row = &tapeRow{quote: codec.Empty}
			r.rows[string(items[i].Symbol)] = row
		}
		if u.Flags&codec.Image != 0 {
			row.quote = codec.Empty
		}
		if row.seq > 0 {
			r.took.missed += max(0, u.Seq-row.seq-1)
		}
		row.quote.Merge(&u.Quote, u.Mask)
		row.seq = u.Seq
		r.dues = append(r.dues, row.quote[codec.EventTime])
	}
	now := time.Now().UnixMicro()
	for _, due := range r.dues {
		if due >= r.from && due < r.to {
			r.arrived++
			r.latency.RecordValue(min(max(1, now-due), latencyMaxUS))
		}
	}
	r.took.messages++
	r.took.updates += int64(len(items))
	r.took.bytes += int64(bytes)
}

// timed has updates timed that are due from one moment to another.
func (r *tapeReader) timed(from, to int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from, r.to = from, to
}

// counts is what was read so far, and whether a reader has failed.
func (r *tapeReader) counts() (tapeCounts, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.took, r.failed
}
