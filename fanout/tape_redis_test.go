package fanout

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// server is a redis-server that keeps every write on disk.
type server struct {
	*tapetest.Server
	rdb *redis.Client // the writer's
}

func startRedis(t *testing.T) *server {
	t.Helper()
	s := tapetest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	return &server{s, s.Client()}
}

// keep has the server go back to what it has now of the sim stream.
func (s *server) keep(t *testing.T) (goBack func()) {
	ctx, keys, had := context.Background(), []string{codec.TapeKey(sim), codec.CheckpointKey(sim)}, map[string]string{}
	for _, key := range keys {
		had[key] = s.rdb.Dump(ctx, key).Val()
	}
	return func() {
		s.rdb.FlushAll(ctx)
		for _, key := range keys {
			if err := s.rdb.RestoreReplace(ctx, key, 0, had[key]).Err(); err != nil {
				t.Fatal(err)
			}
		}
		s.rdb.SAdd(ctx, codec.TapesKey, sim)
	}
}

// line is a TCP line between a reader and a server that can be cut, so that a writer
// goes on while the reader is away.
type line struct {
	ln    net.Listener
	to    string
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{ln: ln, to: to}
	t.Cleanup(func() { ln.Close(); l.cut() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l.join(c)
		}
	}()
	return l
}

func (l *line) join(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		c.Close()
		return
	}
	far, err := net.Dial("tcp", l.to)
	if err != nil {
		c.Close()
		return
	}
	l.conns = append(l.conns, c, far)
	go func() { io.Copy(far, c); far.Close(); c.Close() }()
	go func() { io.Copy(c, far); far.Close(); c.Close() }()
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

// used reports whether anyone is connected.
func (l *line) used() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns) > 0
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// reader is a tape under test, with a loop's view of what it posts.
type reader struct {
	t      *testing.T
	tape   *tape
	master *master
	stop   context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex // protects what follows
	rows   map[uint32]*codec.Update
	gaps   map[string]int
	stales map[string]int // times a symbol was told to be stale
}

func newReader(t *testing.T, addr string) *reader {
	t.Helper()
	return newLoggingReader(t, addr, discard)
}

func newLoggingReader(t *testing.T, addr string, log *slog.Logger) *reader {
	t.Helper()
	r := &reader{
		t: t, master: newMaster(), done: make(chan struct{}),
		rows: make(map[uint32]*codec.Update), gaps: make(map[string]int), stales: make(map[string]int),
	}
	var err error
	r.tape, err = newTape("redis://"+addr, r.master, r.post, prometheus.NewRegistry(), log)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		if err := r.tape.run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { r.stop(); <-r.done })
	return r
}

// post is what a loop does with a batch; no seq may go back.
func (r *reader) post(b *batch) {
	defer b.release()
	r.mu.Lock()
	defer r.mu.Unlock()
	names := r.master.list()
	for i := range b.updates {
		u := &b.updates[i]
		row := r.rows[u.ID]
		if row == nil {
			row = &codec.Update{Quote: codec.Empty}
			r.rows[u.ID] = row
		}
		if u.Seq < row.Seq {
			r.t.Errorf("%s: seq went back from %d to %d", names[u.ID], row.Seq, u.Seq)
		}
		if u.Flags&codec.Image != 0 {
			row.Quote, row.History = codec.Empty, u.History
		}
		row.Seq = u.Seq
		row.Quote.Merge(&u.Quote, u.Mask)
		if u.Flags&codec.Gap != 0 {
			r.gaps[names[u.ID]]++
		}
		if u.Mask.Has(codec.Status) && u.Quote[codec.Status] == codec.Stale {
			r.stales[names[u.ID]]++
		}
	}
}

// differs says in what the board, or a loop that only saw the batches, differs from
// what the writers wrote; "" in nothing.
func (r *reader) differs(writers ...*writer) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.master.mu.RLock()
	defer r.master.mu.RUnlock()
	for _, w := range writers {
		for symbol, u := range w.state {
			id, ok := r.master.ids[symbol]
			if !ok {
				return symbol + " is not on the board"
			}
			row := &r.master.rows[id].update
			if m := row.Quote.Diff(&u.Quote); m != 0 || row.Seq < u.Seq || row.History != u.History {
				return fmt.Sprintf("%s: board has %d@%d of %d status %d, writer %d@%d of %d", symbol, row.Quote[codec.Bid], row.Seq,
					row.History, row.Quote[codec.Status], u.Quote[codec.Bid], u.Seq, u.History)
			}
		}
	}
	for id := range r.master.rows {
		row, loop := &r.master.rows[id].update, r.rows[uint32(id)]
		if loop == nil || loop.Quote != row.Quote || loop.Seq != row.Seq || loop.History != row.History {
			return fmt.Sprintf("%s: a loop has something else", r.master.rows[id].symbol)
		}
	}
	return ""
}

// agrees waits until the board is what the writers wrote, which go on living.
func (r *reader) agrees(writers ...*writer) {
	r.t.Helper()
	r.within(5*time.Second, func() string {
		for _, w := range writers {
			w.tick(0)
		}
		return r.differs(writers...)
	})
}

// within waits for what to be "".
func (r *reader) within(limit time.Duration, what func() string) {
	r.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(15 * time.Millisecond) {
		now := what()
		if now == "" {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("after %v: %s", limit, now)
		}
	}
}

// status waits for a symbol's status.
func (r *reader) status(limit time.Duration, symbol string, want int64) {
	r.t.Helper()
	r.within(limit, func() string {
		r.master.mu.RLock()
		defer r.master.mu.RUnlock()
		id, ok := r.master.ids[symbol]
		if !ok {
			return symbol + " is not on the board"
		}
		if got := r.master.rows[id].update.Quote[codec.Status]; got != want {
			return fmt.Sprintf("%s is %s, not %s", symbol, codec.StatusNames[got], codec.StatusNames[want])
		}
		return ""
	})
}

func (r *reader) ready(limit time.Duration) {
	r.t.Helper()
	r.within(limit, r.tape.unready)
}
