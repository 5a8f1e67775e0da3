package tapes

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// paced has entries sent at a pace, of which the last is to be sent now.
func (w *writer) paced(every time.Duration, entries int) {
	at := time.Now().Add(-every * time.Duration(entries-1))
	w.sentAt = func() int64 { return at.UnixMicro() }
	for n := range entries {
		w.tick(int64(n), "x:A", "x:B")
		at = at.Add(every)
	}
	w.sentAt = func() int64 { return time.Now().UnixMicro() }
}

func status(t *testing.T, r *Redis, stream string) Status {
	t.Helper()
	all, err := r.Statuses(t.Context(), []string{stream})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v %+v", all[0], all[0].Hole)
	return all[0]
}

// What is shown of a stream is what was written, by a real Redis and by the one in memory.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	for name, url := range map[string]string{"redis-server": s.URL, "miniredis": "redis://" + miniredis.RunT(t).Addr()} {
		t.Run(name, func(t *testing.T) {
			ctx, r := t.Context(), open(t, url)
			w := newWriter(t, r.Now(), "x/0")
			w.paced(100*time.Millisecond, 50)
			w.checkpoint()
			r.Now().Set(ctx, codec.WriterKey("x/0"), "feed\x1b1", 0)
			r.Now().Set(ctx, codec.StandbyKey("x/0"), "feed2 0 3", 0)
			got := status(t, r, "x/0")
			if got.Writer != "feed 1" || got.Standby != "feed2 3" || got.Epoch != epoch0 || got.N != 50 || got.Entries != 51 || got.Symbols != 2 {
				t.Error("it is not what was written")
			}
			if math.Abs(got.EntryRate-10) > 0.01 || math.Abs(got.UpdateRate-20) > 0.01 {
				t.Errorf("%v entries and %v updates a second", got.EntryRate, got.UpdateRate)
			}
			if got.Silent || got.Lag < 0 || got.Lag > time.Second || got.Checkpoint > time.Second || got.Bytes < 51*80 {
				t.Error("it is not of now")
			}
			if got.Hole != nil || got.Trouble != "" {
				t.Error("nothing is wrong")
			}
		})
	}
}

// What cannot be read is said, and the others are shown.
func TestStatusTrouble(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r, rdb := open(t, s.URL), s.Client()
	for stream, c := range map[string]struct {
		trouble string
		do      func(*writer)
	}{
		"x/0": {"no checkpoint", func(w *writer) {}},
		"x/1": {"the checkpoint cannot be read", func(w *writer) { w.setCheckpoint([]byte("rubbish")) }},
		"x/2": {"no entries", func(w *writer) { rdb.Del(context.Background(), codec.TapeKey(w.stream)) }},
		"x/3": {"WRONGTYPE", func(w *writer) { rdb.Set(context.Background(), codec.TapeKey(w.stream), "?", 0) }},
		"x/4": {"the newest entry cannot be read", func(w *writer) { w.raw("18446744073709551615-1", nil) }},
	} {
		w := newWriter(t, rdb, stream)
		c.do(w)
		if got := status(t, r, stream); !strings.Contains(got.Trouble, c.trouble) {
			t.Errorf("%s: %q", stream, got.Trouble)
		}
	}
	w := newWriter(t, rdb, "x/9")
	w.sentAt = func() int64 { return time.Now().Add(-time.Minute).UnixMicro() }
	w.tick(1)
	if got := status(t, r, "x/9"); !got.Silent || got.Lag < time.Minute {
		t.Error("it is silent")
	}
	// Who may not ask for memory sees the rest.
	rdb.Do(t.Context(), "ACL", "SETUSER", "default", "-memory")
	if got := status(t, r, "x/9"); got.Bytes != 0 || got.Entries != 2 {
		t.Error("there are two entries, of a size that is not told")
	}
}

// Streams that are not there are told with those that are.
func TestStreams(t *testing.T) {
	t.Parallel()
	r := open(t, "redis://"+miniredis.RunT(t).Addr())
	if names, err := r.Streams(t.Context()); err != nil || len(names) != 0 {
		t.Error(names, err)
	}
	if _, err := r.Streams(t.Context(), "x/0"); err == nil || !strings.Contains(err.Error(), "is a feed running?") {
		t.Error(err)
	}
	r.Now().SAdd(t.Context(), codec.TapesKey, "x/1", "x/0", "y/0")
	if names, err := r.Streams(t.Context(), "y/0", "x/0", "y/0"); err != nil || strings.Join(names, " ") != "x/0 y/0" {
		t.Error(names, err)
	}
	if _, err := r.Streams(t.Context(), "x/0", "z/0"); err == nil || !strings.Contains(err.Error(), `"z/0": there are x/0, x/1, y/0`) {
		t.Error(err)
	}
}
