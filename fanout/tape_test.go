package fanout

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

const sim = "sim/0"

// soon is time enough for what should happen at once on a busy machine.
const soon = 5 * time.Second

func value(c prometheus.Counter) float64 {
	var m dto.Metric
	c.Write(&m)
	return m.GetCounter().GetValue()
}

func wantCount(t *testing.T, what string, c prometheus.Counter, want float64) {
	t.Helper()
	if got := value(c); got != want {
		t.Errorf("%s: %v, not %v", what, got, want)
	}
}

// holes is how often a checkpoint was needed, for whatever reason.
func (r *reader) holes() (n float64) {
	for _, c := range r.tape.counts.holes {
		n += value(c)
	}
	return n
}

func wantHoles(t *testing.T, r *reader, want float64) {
	t.Helper()
	if got := r.holes(); got != want {
		t.Errorf("%v holes, not %v", got, want)
	}
}

// gapsOf is how often a symbol was flagged GAP.
func (r *reader) gapsOf(symbol string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gaps[symbol]
}

// bid is what is shown of a symbol.
func (r *reader) bid(symbol string) int64 {
	r.master.mu.RLock()
	defer r.master.mu.RUnlock()
	return r.master.rows[r.master.ids[symbol]].update.Quote[codec.Bid]
}

// stalesOf is how often a symbol was told to be stale.
func (r *reader) stalesOf(symbol string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stales[symbol]
}

// A URL that cannot be used is refused, and its password printed nowhere.
func TestTapeURL(t *testing.T) {
	for _, url := range []string{"nonsense", "redis://:hunter2@host:port", "redis://u:hunter2#x@host", "http://:hunter2@host", "redis://:hunter2@host/hunter2", ":hunter2@host:1"} {
		_, err := newTape(url, newMaster(), nil, prometheus.NewRegistry(), discard)
		if err == nil || !strings.HasPrefix(err.Error(), "fanout: --redis: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// In memory, as under "tickwire up": from the first entry on, and from a checkpoint.
func TestTapeInMemory(t *testing.T) {
	mr := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mr.Addr()})
	defer rdb.Close()
	early := newReader(t, mr.Addr())
	time.Sleep(700 * time.Millisecond) // longer than a read waits
	if why := early.tape.unready(); !strings.Contains(why, "no stream") {
		t.Errorf("ready with nothing on the tape: %q", why)
	}
	w := newWriter(t, rdb, sim)
	w.checkpoint() // lists the stream
	w.tick(100, "sim:A", "sim:B")
	w.tick(101, "sim:A")
	early.agrees(w)
	early.ready(soon)
	w.checkpoint()
	w.tick(102, "sim:B", "sim:C")
	late := newReader(t, mr.Addr())
	late.agrees(w)
	late.ready(soon)
	early.agrees(w)
	wantHoles(t, early, 0)
	wantHoles(t, late, 0)
	wantCount(t, "checkpoints", late.tape.counts.checkpoints, 1)
	if late.gapsOf("sim:A")+early.gapsOf("sim:A") > 0 {
		t.Error("GAP where nothing was missed")
	}
}

// A node that starts before Redis, and long before a feed.
func TestTapeBeforeAll(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	s.Kill()
	r := newReader(t, s.Addr)
	time.Sleep(1200 * time.Millisecond)
	if why := r.tape.unready(); !strings.Contains(why, "cannot be read: dial") {
		t.Errorf("unready: %q", why)
	}
	s.Start()
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	r.agrees(w)
	r.ready(soon)
}

// What a feed left behind that is gone: served, and said to be stale from the start.
func TestTapeDeadFeed(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	w.tick(2, "sim:A")
	r := newReader(t, s.Addr)
	r.ready(soon)
	r.status(0, "sim:A", codec.Stale)
	w.tick(3, "sim:A")
	r.agrees(w)
	r.status(3*time.Second, "sim:A", codec.Stale) // silence again
	r.agrees(w)
	if r.gapsOf("sim:A") != 0 {
		t.Error("GAP where nothing was missed")
	}
}

// An entry that never came: stale until the checkpoint covers it, GAP on what it
// changed, and on nothing else.
func TestTapeHole(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A", "sim:B")
	w.checkpoint()
	r := newReader(t, s.Addr)
	r.agrees(w)
	w.lose(2, "sim:A")
	w.tick(3, "sim:B")
	r.status(soon, "sim:B", codec.Stale)
	w.checkpoint()
	r.agrees(w)
	wantHoles(t, r, 1)
	if r.gapsOf("sim:A") != 1 || r.gapsOf("sim:B") != 1 {
		t.Errorf("gaps %v", r.gaps)
	}
	stales := r.stalesOf("sim:B")
	w.lose(4, "sim:B")
	w.checkpoint() // is there before anybody misses anything
	w.tick(0)
	w.tick(5, "sim:A")
	r.agrees(w)
	if r.gapsOf("sim:A") != 1 || r.gapsOf("sim:B") != 2 || r.stalesOf("sim:B") != stales {
		t.Errorf("gaps %v stales %v", r.gaps, r.stales)
	}
}

// Trimmed past a reader that was away. A blink is told nobody.
func TestTapeTrimmed(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	l := newLine(t, s.Addr)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	r := newReader(t, l.ln.Addr().String())
	r.agrees(w)
	stales := r.stalesOf("sim:A")
	l.cut()
	l.mend()
	r.within(soon, func() string {
		if !l.used() {
			return "the reader is not back"
		}
		return ""
	})
	w.tick(2, "sim:A")
	r.agrees(w)
	if r.stalesOf("sim:A") != stales {
		t.Error("stale for a blink")
	}
	l.cut()
	r.status(3*time.Second, "sim:A", codec.Stale)
	for bid := range int64(50) {
		w.tick(bid, "sim:A", fmt.Sprintf("sim:N%d", bid))
	}
	s.rdb.XTrimMaxLen(context.Background(), codec.TapeKey(sim), 1)
	l.mend()
	r.within(soon, func() string {
		if r.holes() == 0 {
			return "no hole"
		}
		return ""
	})
	w.checkpoint()
	r.agrees(w)
	wantHoles(t, r, 1)
}

// kill -9 of a Redis that keeps its data: nothing is missing afterwards.
func TestTapeKilled(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	r := newReader(t, s.Addr)
	r.agrees(w)
	s.Kill()
	r.status(3*time.Second, "sim:A", codec.Stale)
	errors := value(r.tape.counts.errors)
	time.Sleep(2 * time.Second)
	if more := value(r.tape.counts.errors) - errors; more > 12 {
		t.Errorf("%v tries in 2 s", more)
	}
	s.Start()
	w.tick(2, "sim:A")
	r.agrees(w)
	wantHoles(t, r, 0)
	if r.gapsOf("sim:A") != 0 {
		t.Error("GAP where nothing was missed")
	}
}

// A Redis that lost everything, under a feed that lives: it goes on where it was.
func TestTapeWipedUnderWriter(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	r := newReader(t, s.Addr)
	r.agrees(w)
	s.Kill()
	s.Wipe()
	s.Start()
	r.status(3*time.Second, "sim:A", codec.Stale)
	w.tick(2, "sim:A")
	r.agrees(w)
	wantHoles(t, r, 0)
	s.Kill()
	s.Wipe()
	w.lose(3, "sim:A")
	s.Start()
	w.tick(4, "sim:B")
	w.checkpoint()
	r.agrees(w)
	wantHoles(t, r, 1)
}

// A Redis and a feed that lost everything: a new history. What it does not name stays on
// the board, stale. By a clock that was set back it is older than what was shown, and is
// not: all is stale until a feed begins whose clock is right.
func TestTapeNewHistory(t *testing.T) {
	for _, c := range []struct {
		name       string
		epoch      int64
		checkpoint bool
	}{
		{"later", epoch0 + 5000, true},
		{"earlier", epoch0 - 5000, true},
		{"earlier, and no checkpoint yet", epoch0 - 5000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			w := newWriter(t, s.rdb, sim)
			w.tick(1, "sim:A", "sim:B")
			w.checkpoint()
			r := newReader(t, s.Addr)
			r.agrees(w)
			s.Kill()
			s.Wipe()
			s.Start()
			w.begin(c.epoch)
			w.tick(7, "sim:A")
			if c.checkpoint {
				w.checkpoint()
			}
			// Silence is what gives a stream away that began again below.
			time.Sleep(2500 * time.Millisecond)
			if c.epoch < epoch0 {
				r.within(5*time.Second, func() string {
					w.tick(0)
					if value(r.tape.counts.holes[holeOlder]) != 1 || value(r.tape.counts.holes[holeBack]) != 1 {
						return "not known to be older"
					}
					return ""
				})
				w.checkpoint()
				r.status(0, "sim:A", codec.Stale)
				if bid := r.bid("sim:A"); bid != 1 || r.gapsOf("sim:A") > 0 {
					t.Errorf("bid %d is shown", bid)
				}
				w.begin(epoch0 + 9000)
				w.tick(7, "sim:A")
				w.checkpoint()
			}
			r.agrees(w)
			r.status(0, "sim:B", codec.Stale)
			if r.gapsOf("sim:A") == 0 {
				t.Error("no GAP between two histories")
			}
			w.tick(8, "sim:B")
			r.agrees(w)
		})
	}
}

// The end of the tape is lost, and a new writer knows no better: what is ahead of it
// is put right by its checkpoint.
func TestTapeWentBack(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	kept, before := w.id, *w.state["sim:A"]
	r := newReader(t, s.Addr)
	r.agrees(w)
	w.tick(2, "sim:A", "sim:B")
	r.agrees(w)
	s.rdb.Del(context.Background(), codec.TapeKey(sim))
	w.state = map[string]*codec.Update{"sim:A": &before}
	w.reign(epoch0+9000, kept)
	w.tick(3, "sim:A")
	r.status(soon, "sim:A", codec.Stale)
	w.checkpoint()
	r.agrees(w)
	r.status(0, "sim:B", codec.Stale)
	wantHoles(t, r, 1)
}

// A reign that follows needs nothing; one that names another entry before it does.
func TestTapeReigns(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	r := newReader(t, s.Addr)
	r.agrees(w)
	w.reign(epoch0+1000, w.id)
	w.tick(2, "sim:A")
	r.agrees(w)
	wantHoles(t, r, 0)
	w.reign(epoch0+2000, codec.ID{Epoch: epoch0 + 1000, N: 99999})
	w.tick(3, "sim:A")
	w.checkpoint()
	r.agrees(w)
	wantHoles(t, r, 1)
}

// The stream is gone, its checkpoint knows more than we do, and nobody writes.
func TestTapeStreamGone(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	l := newLine(t, s.Addr)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	r := newReader(t, l.ln.Addr().String())
	r.agrees(w)
	l.cut()
	w.tick(2, "sim:A")
	w.checkpoint()
	s.rdb.Del(context.Background(), codec.TapeKey(sim))
	l.mend()
	w.state["sim:A"].Quote[codec.Status] = codec.Stale
	r.within(soon, func() string { return r.differs(w) })
	time.Sleep(5 * xreadBlock)
	wantCount(t, "checkpoints", r.tape.counts.checkpoints, 2) // what is known is not read again
}
