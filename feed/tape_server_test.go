package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// tapeOf is the tape of x/0 without a feed.
func tapeOf(t *testing.T, s *tapetest.Server) *tape {
	rdb, err := openRedis(t.Context(), s.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rdb.Close() })
	tp := newTape(rdb, "x/0", 0, newCounts(nil, "x/0"), quiet)
	tp.line = rdb.Line(codec.TapeKey("x/0"))
	if tp.server, err = tp.line.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	return tp
}

func client(t *testing.T, url string) *redis.Client {
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	opt.MaxRetries, opt.DialerRetries, opt.ReadTimeout = -1, 1, time.Second
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// ended waits for what a feed ends with.
func ended(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the feed does not end")
		return nil
	}
}

// fenced waits until a feed has lost its reign to another's.
func (f *hand) fenced() {
	f.t.Helper()
	eventually(f.t, "the older feed loses its reign", func() bool { return value(f.stream.writer.tape.counts.writer) == 0 })
}

// journal keeps what was logged.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.b.String(), text)
}

// hand is a feed whose one source, of x/0, is the test.
type hand struct {
	*publisher
	t      *testing.T
	in     *source
	stream *stream
	log    *journal
	cancel context.CancelFunc
}

// makeFeed makes a feed that is yet to open x/0.
func makeFeed(t *testing.T, url string, cfg Config) *hand {
	t.Helper()
	f := &hand{t: t, log: new(journal)}
	rdb, err := openRedis(t.Context(), url, 1)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(f.log, nil))
	f.publisher = newPublisher(ctx, &cfg, rdb, prometheus.NewRegistry(), log)
	t.Cleanup(func() { f.cancel(); rdb.Close() })
	return f
}

// begin has it stand by for x/0, or write it.
func (f *hand) begin() {
	f.in = f.open("x", shard{})
	f.stream = f.streams[0]
}

// beginFeed begins a feed, and waits for its reign over x/0.
func beginFeed(t *testing.T, url string) *hand {
	t.Helper()
	f := makeFeed(t, url, Config{})
	f.begin()
	f.reigns()
	return f
}

// reigns waits until the feed writes.
func (f *hand) reigns() {
	f.t.Helper()
	select {
	case <-f.stream.began:
	case <-f.ctx.Done():
		f.t.Fatal(context.Cause(f.ctx))
	case <-time.After(10 * time.Second):
		f.t.Fatal("no reign begins")
	}
}

// say sends ticks, as many symbols x:S0, x:S1 ... with that bid.
func (f *hand) say(symbols int, bid int64) {
	for i := range symbols {
		*f.in.add() = *bookTick(fmt.Sprintf("x:S%d", i), bid)
	}
	f.in.flush(f.ctx)
}

// over has what the feed ends with.
func (f *hand) over() chan error {
	done := make(chan error, 1)
	go func() { done <- f.writers.Wait() }()
	return done
}

// stop ends it as Run does: what is pending is written.
func (f *hand) stop() error { return f.publisher.close() }

// crash ends it without: as good as kill -9 for what is in Redis.
func (f *hand) crash() {
	f.rdb.Close()
	if err := f.stop(); err != nil && !errors.Is(err, redis.ErrClosed) {
		f.t.Error("crash:", err)
	}
}

// written waits until the bid of a symbol is on the tape.
func (f *hand) written(symbol string, bid int64) {
	f.t.Helper()
	n := follow(f.t, "redis://"+f.rdb.At, "x/0")
	defer n.stop()
	eventually(f.t, "the tape has it all", func() bool { return n.bid(symbol) == bid })
}

// node follows a tape as a fan-out node does: by id, and from the checkpoint where
// an entry does not follow.
type node struct {
	mu sync.Mutex // protects all below until the node is halted
	*reader
	rdb    *redis.Client
	stream string
	last   codec.ID
	need   codec.ID // a hole: the checkpoint that covers it
	holes  int
	ids    []codec.ID
	errs   []error
	done   chan struct{}
	stop   func()
}

// follow reads the stream every few milliseconds until halt.
func follow(t *testing.T, url, stream string) *node {
	n := &node{reader: newReader(), rdb: client(t, url), stream: stream, done: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	go func() {
		defer close(n.done)
		for ctx.Err() == nil {
			n.step()
			time.Sleep(2 * time.Millisecond)
		}
	}()
	t.Cleanup(stop)
	return n
}

// halt reads up to an entry and stops; then the node belongs to the test.
func (n *node) halt(t *testing.T, last codec.ID) {
	t.Helper()
	eventually(t, "the node reads entry "+last.String(), func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.last == last
	})
	n.stop()
	<-n.done
}

func (n *node) bid(symbol string) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.quotes[symbol][codec.Bid]
}

func (n *node) step() {
	n.mu.Lock()
	defer n.mu.Unlock()
	ctx := context.Background()
	if n.need != (codec.ID{}) {
		blob, err := n.rdb.Get(ctx, codec.CheckpointKey(n.stream)).Bytes()
		e, body, perr := codec.ParseEntry(blob)
		if err != nil || perr != nil || e.ID.Less(n.need) {
			return
		}
		if err := n.read(body, e.Count, false); err != nil {
			n.errs = append(n.errs, fmt.Errorf("checkpoint %s: %w", e.ID, err))
		}
		n.last, n.need = e.ID, codec.ID{}
	}
	entries, err := n.rdb.XRangeN(ctx, codec.TapeKey(n.stream), "("+n.last.String(), "+", 1000).Result()
	if err != nil {
		return // Redis is away
	}
	for _, m := range entries {
		text, _ := m.Values[codec.EntryField].(string)
		e, body, err := codec.ParseEntry([]byte(text))
		if err != nil || e.ID.String() != m.ID {
			n.holes++
			if n.need, err = codec.ParseID(m.ID); err != nil {
				n.errs = append(n.errs, err)
			}
			return
		}
		if e.Prev != n.last {
			n.holes++
			n.need = e.ID
			return
		}
		if e.ID.N > 0 && e.Prev != (codec.ID{Epoch: e.ID.Epoch, N: e.ID.N - 1}) || e.ID.N == 0 && e.Count > 0 {
			n.errs = append(n.errs, fmt.Errorf("entry %s after %s, with %d updates", e.ID, e.Prev, e.Count))
		}
		if err := n.read(body, e.Count, true); err != nil {
			n.errs = append(n.errs, fmt.Errorf("entry %s: %w", e.ID, err))
		}
		n.last = e.ID
		n.ids = append(n.ids, e.ID)
	}
}

// good has the test fail with what the node found, or if it holds not what the feed
// does.
func (n *node) good(t *testing.T, f *hand) {
	t.Helper()
	if len(n.errs) > 0 {
		t.Errorf("node: %d errors: %v", len(n.errs), n.errs[0])
	}
	n.same(t, f.stream.seq)
}

// checkpointOf reads the checkpoint of x/0.
func checkpointOf(t *testing.T, rdb *redis.Client) (codec.Entry, *reader) {
	t.Helper()
	blob, err := rdb.Get(context.Background(), codec.CheckpointKey("x/0")).Bytes()
	if err != nil {
		t.Fatal("checkpoint:", err)
	}
	e, body, err := codec.ParseEntry(blob)
	if err != nil {
		t.Fatal("checkpoint:", err)
	}
	r := newReader()
	if err := r.read(body, e.Count, false); err != nil {
		t.Fatal("checkpoint:", err)
	}
	return e, r
}
