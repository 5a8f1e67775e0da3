package fanout

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// The reader's pace. A stream that is alive has an entry every 250 ms.
const (
	discoverEvery = time.Second
	seekEvery     = 5 * time.Second // how often a silent stream is looked for over a new line
	xreadBlock    = 500 * time.Millisecond
	xreadCount    = 64 // entries a read; a writer bounds one by some 256 KiB
	// xreadEvery is the pace of a stream that always has more. A read costs some 90 us of
	// CPU, with what it wakes, whatever it brings: 6,500 entries a second took 0.59 cores,
	// and with it 0.19. A few may follow each other at once: of what a feed has at a time
	// it writes the first alone, and then the others.
	xreadEvery = time.Millisecond
	xreadBurst = 4
	// redisTimeout bounds every answer but a checkpoint's, and xreadBlock and it a
	// read: a hung server is found out when silence is.
	redisTimeout      = time.Second
	checkpointTimeout = 5 * time.Second // 100,000 images are 15 MB
	retryFirst        = 50 * time.Millisecond
	retryMost         = time.Second
	coverEvery        = 200 * time.Millisecond // how often a hole looks for its checkpoint
	brokenAfter       = 5 * time.Second        // a stream without it keeps nobody waiting
	connsSpare        = 4                      // connections beside theirs: for lists, and what failed
	missingMost       = 60                     // looks that do not list a stream, after which it is gone
)

// tape reads the streams of the tape, one goroutine and one connection each, and keeps
// the master board.
type tape struct {
	rdb    *tapes.Redis
	master *master
	post   func(*batch)
	log    *slog.Logger
	counts tapeCounts

	staleAfter time.Duration // the node is unready then; 0: it is not

	revoke      func([]revocation) // nil: nobody wants to know
	revokedRead func()             // is called when they are read to their end
	revokedFrom int64              // when they are read from, Redis's ms since the Unix epoch
	revokedAway bool               // they could not be read, which was said

	mu      sync.Mutex // protects streams, their stop and missing, and trouble
	streams map[string]*stream
	refused bool  // a stream's name was, which was said
	trouble error // with the list of streams
}

func newTape(url string, m *master, post func(*batch), reg prometheus.Registerer, log *slog.Logger) (*tape, error) {
	rdb, err := openRedis(url, true)
	if err != nil {
		return nil, fmt.Errorf("fanout: %w", err)
	}
	t := &tape{
		rdb: rdb, master: m, post: post, log: log,
		counts: newTapeCounts(reg), streams: make(map[string]*stream),
	}
	if reg != nil {
		reg.MustRegister(t)
	}
	return t, nil
}

// openRedis is the way to the Redis of a URL, for who only reads or for who does not.
func openRedis(url string, reads bool) (*tapes.Redis, error) {
	rdb, err := tapes.Open(url, tapes.Role{Name: "tickwire-fanout", Conns: tapes.StreamsMax + connsSpare, Reads: reads})
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	return rdb, nil
}

// run reads until ctx ends. It never gives up: nodes serve what they have.
func (t *tape) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { t.rdb.Close() })() // the driver does not see the end of ctx in a read, but that of its socket
	defer t.rdb.Close()
	var readers sync.WaitGroup
	defer readers.Wait()
	var outage tapes.Outage
	for {
		names, err := t.discover(ctx)
		if err != nil && ctx.Err() == nil && outage.Begins() {
			t.log.Warn("tape: the list of streams cannot be read; serving what is known", "err", t.rdb.Advise(err, "is it running, and the one that the feed writes to?"))
		}
		if err == nil && outage.Ends() {
			t.log.Info("tape: the list of streams is read again")
		}
		t.mu.Lock()
		t.trouble = err
		t.mu.Unlock()
		if err != nil {
			t.revokedFrom = 0
		} else {
			t.readRevoked(ctx)
			t.list(ctx, names, &readers)
		}
		if !sleep(ctx, discoverEvery) {
			return nil
		}
	}
}

// list has a reader for every stream there is. One that has long been taken off the
// list is gone, but nothing is of an empty list: Redis may have forgotten it.
func (t *tape) list(ctx context.Context, names []string, readers *sync.WaitGroup) {
	if len(names) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		s.missing++
	}
	for _, name := range names {
		if s := t.streams[name]; s != nil {
			s.missing = 0
			continue
		}
		cursor, err := codec.NewCursor(name)
		if err == nil && len(t.streams) == tapes.StreamsMax {
			err = fmt.Errorf("there are %d", tapes.StreamsMax)
		}
		if err != nil {
			if !t.refused {
				t.refused = true
				t.log.Error("tape: a stream is not read, nor others like it", "stream", name[:min(len(name), 80)], "err", err)
			}
			continue
		}
		s := &stream{tape: t, name: name, cursor: cursor, pace: rate.NewLimiter(rate.Every(xreadEvery), xreadBurst)}
		own, stop := context.WithCancel(ctx)
		s.stop, t.streams[name] = stop, s
		readers.Go(func() {
			s.run(own)
			if ctx.Err() == nil {
				s.setStale(true)
			}
		})
	}
	for name, s := range t.streams {
		if s.missing > missingMost {
			t.counts.holes[holeGone].Inc()
			t.log.Info("tape: the stream is gone", "stream", name)
			s.stop()
			delete(t.streams, name)
		}
	}
}

func (t *tape) discover(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	names, err := t.rdb.Now().SMembers(ctx, codec.TapesKey).Result()
	t.rdb.Note(err)
	return names, err
}

// unready says why the node should not be sent anyone; "" when it should.
func (t *tape) unready() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.streams) == 0 && t.trouble != nil {
		return fmt.Sprintf("the tape at %s cannot be read: %v", t.rdb.At, t.trouble)
	}
	if len(t.streams) == 0 {
		return "no stream on the tape yet: is a feed running?"
	}
	for name, s := range t.streams {
		if s.missing > 0 {
			continue
		}
		if !s.synced.Load() {
			return "stream " + name + " is not read up to its end yet"
		}
		if since := time.Since(time.Unix(0, s.readTo.Load())); t.staleAfter > 0 && since > t.staleAfter {
			return fmt.Sprintf("stream %s was not read up to its end for %v: does redis answer?", name, since.Round(time.Second))
		}
	}
	return ""
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
