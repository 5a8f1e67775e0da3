package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// The reader's pace. A stream that is alive has an entry every 250 ms.
const (
	discoverEvery = time.Second
	xreadBlock    = 500 * time.Millisecond
	xreadCount    = 256                     // entries a read: some MB at the most
	silence       = 1500 * time.Millisecond // after which a stream's rows are stale
	redisTimeout  = 2 * time.Second         // for any answer; a hung server costs no more
	retryMax      = time.Second
	coverEvery    = 100 * time.Millisecond // how often a hole looks for its checkpoint
)

// tape reads the streams of the tape, one goroutine and one connection each, and
// keeps the master board.
type tape struct {
	rdb    *redis.Client
	fixed  []string // the streams to read; none: all that Redis lists
	master *master
	post   func(*batch)
	log    *slog.Logger
	counts tapeCounts

	mu      sync.Mutex // protects streams
	streams map[string]*stream
}

// tapeCounts counts what was read, and every way in which it was not good.
type tapeCounts struct {
	entries, updates, checkpoints, corrupt, holes, rewinds, errors prometheus.Counter
}

func newTapeCounts(reg prometheus.Registerer) tapeCounts {
	counter := func(name, help string) prometheus.Counter {
		return promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Namespace: "tickwire", Subsystem: "tape", Name: name + "_total", Help: help,
		})
	}
	return tapeCounts{
		entries:     counter("entries_read", "Entries read."),
		updates:     counter("updates_read", "Updates in them."),
		checkpoints: counter("checkpoints_read", "Checkpoints loaded."),
		corrupt:     counter("corrupt", "Entries and checkpoints that could not be read."),
		holes:       counter("holes", "Times an entry did not follow the one before."),
		rewinds:     counter("rewinds", "Times the stream began again below what was read."),
		errors:      counter("redis_errors", "Reads that Redis did not answer."),
	}
}

func newTape(url string, fixed []string, m *master, post func(*batch), reg prometheus.Registerer, log *slog.Logger) (*tape, error) {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("fanout: --redis %s: %w", url, err)
	}
	opt.MaxRetries = -1 // a retry would hide an outage from the reader
	opt.DialerRetries = 1
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = redisTimeout, redisTimeout, redisTimeout
	opt.ContextTimeoutEnabled = true
	opt.PoolSize = 64 // one blocked connection a stream
	return &tape{
		rdb: redis.NewClient(opt), fixed: fixed, master: m, post: post, log: log,
		counts: newTapeCounts(reg), streams: make(map[string]*stream),
	}, nil
}

// run reads until ctx ends. It never gives up: nodes serve what they have.
func (t *tape) run(ctx context.Context) error {
	defer t.rdb.Close()
	var readers sync.WaitGroup
	defer readers.Wait()
	away := false
	for {
		names, err := t.discover(ctx)
		if err != nil && ctx.Err() == nil && !away {
			t.log.Warn("tape: redis does not answer; serving what is known", "err", err)
		}
		if err == nil && away {
			t.log.Info("tape: redis answers again")
		}
		away = err != nil
		t.mu.Lock()
		for _, name := range names {
			if t.streams[name] == nil {
				s := &stream{tape: t, name: name}
				t.streams[name] = s
				readers.Go(func() { s.run(ctx) })
			}
		}
		t.mu.Unlock()
		if !pause(ctx, discoverEvery) {
			return nil
		}
	}
}

func (t *tape) discover(ctx context.Context) ([]string, error) {
	if len(t.fixed) > 0 {
		return t.fixed, nil
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	return t.rdb.SMembers(ctx, codec.TapesKey).Result()
}

// unready says why the node should not be sent anyone yet; "" when it should.
func (t *tape) unready() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.streams) == 0 {
		return "no stream on the tape yet: is a feed running?"
	}
	for name, s := range t.streams {
		if !s.synced.Load() {
			return "stream " + name + " is not read up to its end yet"
		}
	}
	return ""
}

// pause waits; false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// stream is one tape of a venue and shard, and how far it was read. Its goroutine
// owns it.
type stream struct {
	tape   *tape
	name   string
	last   codec.ID // of the newest entry applied; 0-0: none
	heard  time.Time
	quiet  bool // its rows say stale
	synced atomic.Bool
	update codec.Update // scratch
}

// hole is an entry that does not follow; the checkpoint must reach need.
type hole struct{ need codec.ID }

func (h *hole) Error() string { return "an entry is missing before " + h.need.String() }

var errRewound = errors.New("the stream began again")

// run reads one stream, and after whatever went wrong begins again from where it
// was.
func (s *stream) run(ctx context.Context) {
	s.heard = time.Now()
	for attempt := 0; ctx.Err() == nil; {
		var err error
		if s.last == (codec.ID{}) {
			err = s.checkpoint(ctx, codec.ID{}, s.synced.Load())
		}
		if err == nil {
			attempt = 0
			err = s.follow(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		s.tape.counts.errors.Inc()
		if !s.quiet {
			s.tape.log.Warn("tape: reading", "stream", s.name, "err", err)
		}
		s.hush()
		attempt = min(attempt+1, 6)
		if !pause(ctx, rand.N(min(retryMax, 25*time.Millisecond<<attempt))) {
			return
		}
	}
}

// follow reads entries as they come, until Redis does not answer.
func (s *stream) follow(ctx context.Context) error {
	for ctx.Err() == nil {
		entries, err := s.read(ctx)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			s.synced.Store(true) // there is no more
			if err := s.listen(ctx); err != nil {
				return err
			}
			continue
		}
		s.heard = time.Now()
		for i := range entries {
			err := s.take(&entries[i])
			var h *hole
			if errors.As(err, &h) {
				if err := s.repair(ctx, h); err != nil {
					return err
				}
				break // what was read is read again from the checkpoint on
			}
		}
	}
	return ctx.Err()
}

// read waits for entries after the last; none is no error.
func (s *stream) read(ctx context.Context) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	got, err := s.tape.rdb.XRead(ctx, &redis.XReadArgs{
		Streams: []string{codec.TapeKey(s.name), s.last.String()}, Count: xreadCount, Block: xreadBlock,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil || len(got) == 0 {
		return nil, err
	}
	return got[0].Messages, nil
}

// listen judges a silence: its rows go stale, and a stream that began again below
// what was read, which XREAD would await for ever, is taken up anew.
func (s *stream) listen(ctx context.Context) error {
	if time.Since(s.heard) < silence {
		return nil
	}
	s.hush()
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	tops, err := s.tape.rdb.XRevRangeN(ctx, codec.TapeKey(s.name), "+", "-", 1).Result()
	if err != nil || len(tops) == 0 {
		return err
	}
	top, err := codec.ParseID(tops[0].ID)
	if err == nil && top.Less(s.last) && top.Epoch != s.last.Epoch {
		s.tape.counts.rewinds.Inc()
		s.last = codec.ID{}
		return errRewound
	}
	return err
}

// repair waits for a checkpoint that covers a hole; its rows say stale meanwhile.
func (s *stream) repair(ctx context.Context, h *hole) error {
	s.tape.counts.holes.Inc()
	s.tape.log.Warn("tape: waiting for a checkpoint", "stream", s.name, "err", h, "last", s.last)
	s.hush()
	for {
		err := s.checkpoint(ctx, h.need, true)
		if err == nil || !errors.Is(err, errNotYet) {
			return err
		}
		if !pause(ctx, coverEvery) {
			return ctx.Err()
		}
	}
}

var errNotYet = errors.New("the checkpoint does not reach far enough")

// checkpoint loads the stream's checkpoint when it reaches need. Without a need, no
// checkpoint is fine: the stream is read from its beginning.
func (s *stream) checkpoint(ctx context.Context, need codec.ID, gap bool) error {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	blob, err := s.tape.rdb.Get(ctx, codec.CheckpointKey(s.name)).Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return err
	}
	e, body, perr := codec.ParseEntry(blob)
	if err != nil || perr != nil {
		if err == nil {
			s.tape.counts.corrupt.Inc()
			s.tape.log.Error("tape: checkpoint", "stream", s.name, "err", perr)
		}
		if need != (codec.ID{}) {
			return errNotYet
		}
		return nil
	}
	if e.ID.Less(need) {
		return errNotYet
	}
	s.tape.counts.checkpoints.Inc()
	if err := s.apply(e, body, gap); err != nil {
		s.tape.counts.corrupt.Inc()
		s.tape.log.Error("tape: checkpoint", "stream", s.name, "err", err)
		return errNotYet
	}
	s.last = e.ID
	return nil
}

// take applies the next entry, or says that something is missing before it.
func (s *stream) take(m *redis.XMessage) error {
	id, err := codec.ParseID(m.ID)
	if err != nil {
		return err
	}
	text, _ := m.Values[codec.EntryField].(string)
	e, body, err := codec.ParseEntry([]byte(text))
	if err == nil && e.ID != id {
		err = fmt.Errorf("it says it is %s", e.ID)
	}
	if err == nil {
		follows := e.ID.Epoch == s.last.Epoch && e.ID.N == s.last.N+1 ||
			s.last.Less(e.ID) && e.ID.N == 0 && e.Prev == s.last
		if !follows {
			if e.ID.N == 0 {
				return &hole{e.ID} // a new reign that knows less or more than we do
			}
			return &hole{e.Prev}
		}
		err = s.apply(e, body, false)
	}
	if err != nil {
		s.tape.counts.corrupt.Inc()
		s.tape.log.Error("tape: entry", "stream", s.name, "id", m.ID, "err", err)
		return &hole{id}
	}
	s.tape.counts.entries.Inc()
	s.last = e.ID
	if !s.synced.Load() && time.Since(time.UnixMicro(e.SentAt)) < silence {
		s.synced.Store(true)
	}
	return nil
}

// apply brings an entry's updates, or a checkpoint's images, to the master board
// and posts what they changed.
func (s *stream) apply(e codec.Entry, body []byte, gap bool) error {
	m, b := s.tape.master, newBatch()
	defer b.release()
	m.mu.Lock()
	if s.quiet {
		s.quiet = false
		m.fresh(b, s)
	}
	var err error
	n := 0
	for ; n < e.Count && err == nil; n++ {
		var symbol []byte
		if symbol, body, err = codec.ParseTapeUpdate(body, &s.update); err == nil {
			if gap {
				s.update.Flags |= codec.Gap
			}
			m.take(b, s, symbol, &s.update)
		}
	}
	if err == nil && len(body) > 0 {
		err = codec.ErrTrailing
	}
	m.publish()
	m.mu.Unlock()
	s.tape.counts.updates.Add(float64(n))
	s.send(b)
	return err
}

// hush has the stream's rows say stale.
func (s *stream) hush() {
	if s.quiet {
		return
	}
	s.quiet = true
	b := newBatch()
	defer b.release()
	s.tape.master.mu.Lock()
	s.tape.master.stale(b, s)
	s.tape.master.mu.Unlock()
	s.send(b)
}

func (s *stream) send(b *batch) {
	if len(b.updates) > 0 {
		b.refs.Add(1)
		s.tape.post(b)
	}
}
