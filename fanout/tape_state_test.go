package fanout

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// Every hole has a reason, and a reign that goes on is none.
func TestTapeReasons(t *testing.T) {
	t.Parallel()
	for reason, make := range map[string]func(s *server, w *writer, l *line){
		holeLost: func(_ *server, w *writer, _ *line) {
			w.lose(2, "sim:A")
			w.tick(3, "sim:A")
		},
		holeTrimmed: func(s *server, w *writer, l *line) {
			l.cut()
			for bid := range int64(5) {
				w.tick(bid, "sim:A")
			}
			s.rdb.XTrimMaxLen(context.Background(), codec.TapeKey(sim), 1)
			l.mend()
		},
		holeReign: func(_ *server, w *writer, _ *line) {
			prev := w.id
			w.tick(2, "sim:A")
			w.reign(epoch0+10, prev)
		},
		holeCorrupt: func(_ *server, w *writer, _ *line) {
			e, body := w.next(2, "sim:A")
			w.raw(e.ID, append(codec.AppendEntry(nil, &e, body), 0))
		},
		"": func(_ *server, w *writer, _ *line) {
			w.reign(epoch0+10, w.id)
		},
	} {
		t.Run("reason "+reason, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			l := newLine(t, s.Addr)
			w := newWriter(t, s.rdb, sim)
			w.tick(1, "sim:A")
			w.checkpoint()
			r := newReader(t, l.ln.Addr().String())
			r.agrees(w)
			make(s, w, l)
			if reason != "" {
				r.within(soon, func() string {
					if r.holes() == 0 {
						return "no hole"
					}
					return ""
				})
			}
			w.checkpoint()
			r.agrees(w)
			for name, c := range r.tape.counts.holes {
				want := 0.0
				if name == reason {
					want = 1
				}
				wantCount(t, name, c, want)
			}
			if n := value(r.tape.counts.epochs); (n == 1) != (reason == holeReign || reason == "") {
				t.Errorf("%v epochs", n)
			}
		})
	}
}

// An old checkpoint, as of a Redis that came back with old data, is not shown: what is
// known is newer, and says stale until the tape is as far.
func TestTapeOlderCheckpoint(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A", "sim:B")
	w.checkpoint()
	goBack := s.keep(t)
	r := newReader(t, s.Addr)
	r.agrees(w)
	w.tick(2, "sim:A")
	w.tick(3, "sim:A")
	r.agrees(w)
	goBack()
	r.status(5*time.Second, "sim:A", codec.Stale)
	time.Sleep(tapes.Silence)
	r.status(0, "sim:A", codec.Stale)
	if bid := r.bid("sim:A"); bid != 3 {
		t.Errorf("bid %d", bid)
	}
}

// A node is unready when it was not up to date for too long; not for what all nodes
// lack, a feed.
func TestTapeUnreadyWhenStale(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	r := newReader(t, s.Addr)
	r.tape.staleAfter = 2 * time.Second
	r.agrees(w)
	r.ready(soon)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if why := r.tape.unready(); why != "" {
			t.Fatalf("the feed is silent, Redis is not, and it says %q", why)
		}
	}
	w.lose(2, "sim:A")
	w.tick(3, "sim:A") // a hole that nothing covers is everybody's, too
	time.Sleep(3 * time.Second)
	r.ready(0)
	s.Hang(true)
	r.within(4*time.Second, func() string {
		if why := r.tape.unready(); !strings.HasPrefix(why, "stream sim/0 was not read up to its end for ") {
			return fmt.Sprintf("unready: %q", why)
		}
		return ""
	})
	s.Hang(false)
	w.checkpoint()
	r.agrees(w)
	r.ready(soon)
}

// What a scrape says of a stream.
func TestTapeMetrics(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w := newWriter(t, s.rdb, sim)
	w.tick(1, "sim:A")
	w.checkpoint()
	r := newReader(t, s.Addr)
	r.agrees(w)
	gauge := func(name string) float64 {
		reg := prometheus.NewRegistry()
		reg.MustRegister(r.tape)
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range all {
			if family.GetName() == name {
				m := family.GetMetric()[0]
				if label := m.GetLabel()[0]; label.GetName() != "stream" || label.GetValue() != sim {
					t.Errorf("%s: %v", name, label)
				}
				return m.GetGauge().GetValue()
			}
		}
		t.Fatalf("%s is not there", name)
		return 0
	}
	if age := gauge("tickwire_tape_age_seconds"); age < 0 || age > 5 {
		t.Errorf("age %v s", age)
	}
	if got := gauge("tickwire_tape_epoch_seconds"); got != epoch0/1e3 {
		t.Errorf("epoch %v", got)
	}
	if gauge("tickwire_tape_stale") != 0 || gauge("tickwire_tape_behind_entries") != 0 {
		t.Error("stale, or behind")
	}
	r.status(3*time.Second, "sim:A", codec.Stale)
	if gauge("tickwire_tape_stale") != 1 || gauge("tickwire_tape_age_seconds") < tapes.Silence.Seconds()/2 {
		t.Error("not stale, or young")
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(r.tape)
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}
