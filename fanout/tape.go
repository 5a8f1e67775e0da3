package fanout

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// The reader's pace. A stream that is alive has an entry every 250 ms.
const (
	discoverEvery = time.Second
	silence       = 1500 * time.Millisecond // after which a stream's rows are stale
	xreadBlock    = 500 * time.Millisecond
	xreadCount    = 64 // entries a read; a writer bounds one by some 256 KiB
	// redisTimeout bounds every answer but a checkpoint's, and xreadBlock and it a
	// read: a hung server is found out when silence is. The driver's own limit for a
	// blocking command is 10 s later.
	redisTimeout      = time.Second
	checkpointTimeout = 5 * time.Second // 100,000 images are 15 MB
	retryFirst        = 50 * time.Millisecond
	retryMost         = time.Second
	coverEvery        = 100 * time.Millisecond // how often a hole looks for its checkpoint
)

// The driver would print a line for every failed dial; the reader says once that
// Redis is away, and once that it is back.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// tape reads the streams of the tape, one goroutine and one client each, and keeps
// the master board.
type tape struct {
	opt    *redis.Options
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
		updates:     counter("updates_read", "Updates in them and in checkpoints."),
		checkpoints: counter("checkpoints_read", "Checkpoints loaded."),
		corrupt:     counter("corrupt", "Entries and checkpoints that could not be read."),
		holes:       counter("holes", "Times an entry did not follow the one before, or could not be read."),
		rewinds:     counter("rewinds", "Times a stream began again below what was read."),
		errors:      counter("redis_errors", "Reads that Redis did not answer."),
	}
}

func newTape(url string, m *master, post func(*batch), reg prometheus.Registerer, log *slog.Logger) (*tape, error) {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("fanout: --redis %s: %w", url, err)
	}
	opt.MaxRetries = -1 // a retry would hide an outage from the reader
	opt.DialerRetries = 1
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = redisTimeout, redisTimeout, redisTimeout
	opt.ContextTimeoutEnabled = true
	opt.PoolSize = 2 // a client each: no stream waits for another's connection
	return &tape{
		opt: opt, master: m, post: post, log: log,
		counts: newTapeCounts(reg), streams: make(map[string]*stream),
	}, nil
}

// run reads until ctx ends. It never gives up: nodes serve what they have.
func (t *tape) run(ctx context.Context) error {
	rdb := redis.NewClient(t.opt)
	defer rdb.Close()
	var readers sync.WaitGroup
	defer readers.Wait()
	away := false
	for {
		names, err := t.discover(ctx, rdb)
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

func (t *tape) discover(ctx context.Context, rdb *redis.Client) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	return rdb.SMembers(ctx, codec.TapesKey).Result()
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
