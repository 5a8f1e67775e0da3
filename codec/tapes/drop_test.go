package tapes

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// A stream is taken off when nobody writes it, and not before.
func TestDrop(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	for name, url := range map[string]string{"redis-server": s.URL, "miniredis": "redis://" + miniredis.RunT(t).Addr()} {
		t.Run(name, func(t *testing.T) {
			ctx, r := t.Context(), open(t, url)
			refused := func(stream, say string) {
				t.Helper()
				removed, err := r.Drop(ctx, stream)
				if err == nil || !strings.Contains(err.Error(), say) || len(removed) > 0 {
					t.Errorf("%v, removed %q", err, removed)
				}
			}
			refused("x/0", "nor any other")
			other := newWriter(t, r.Now(), "x/1")
			refused("x/0", "there are x/1")
			w := newWriter(t, r.Now(), "x/0")
			w.checkpoint()
			refused("x/0", "has an entry that was sent")
			w.sentAt = func() int64 { return time.Now().Add(-4 * time.Second).UnixMicro() }
			w.tick(1)
			refused("x/0", "wait until it is 5s")
			w.sentAt = func() int64 { return time.Now().Add(-6 * time.Second).UnixMicro() }
			w.tick(1)
			r.Now().Set(ctx, codec.WriterKey("x/0"), "feed1", 0)
			refused("x/0", "is written by the feed feed1")
			r.Now().Del(ctx, codec.WriterKey("x/0"))
			r.Now().Set(ctx, codec.StandbyKey("x/0"), "feed2 0 3", 0)
			refused("x/0", "stands by, feed2: end")
			r.Now().Del(ctx, codec.StandbyKey("x/0"))
			removed, err := r.Drop(ctx, "x/0")
			if want := []string{"tape:{x/0}", "board:{x/0}", "x/0 in tapes"}; err != nil || !slices.Equal(removed, want) {
				t.Error(removed, err)
			}
			refused("x/0", "there are x/1")
			left := r.Now().Keys(ctx, "*").Val()
			if slices.Sort(left); !slices.Equal(left, []string{"tape:{x/1}", "tapes"}) || other.id.N != 0 {
				t.Errorf("left are %q", left)
			}
			// What no feed can write goes, too.
			r.Now().SAdd(ctx, codec.TapesKey, "nonsense")
			r.Now().Set(ctx, codec.TapeKey("nonsense"), "?", 0)
			if removed, err := r.Drop(ctx, "nonsense"); err != nil || len(removed) != 2 {
				t.Error(removed, err)
			}
		})
	}
}

// A Redis that hangs is an error within seconds, whatever is asked of it.
func TestHang(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r := open(t, s.URL)
	w := newWriter(t, s.Client(), "x/0")
	w.checkpoint()
	s.Hang(true)
	defer s.Hang(false)
	for what, do := range map[string]func(context.Context) error{
		"streams": func(ctx context.Context) error { _, err := r.Streams(ctx); return err },
		"status":  func(ctx context.Context) error { _, err := r.Statuses(ctx, []string{"x/0"}); return err },
		"verify":  func(ctx context.Context) error { _, err := r.Verify(ctx, []string{"x/0"}, time.Second); return err },
		"drop":    func(ctx context.Context) error { _, err := r.Drop(ctx, "x/0"); return err },
		"tail":    func(ctx context.Context) error { return new(Tail).Run(ctx, r) },
	} {
		began := time.Now()
		err := do(t.Context())
		if took := time.Since(began); err == nil || took > smallTimeout+time.Second || !strings.Contains(err.Error(), "no answer in time") {
			t.Errorf("%s: %v after %v", what, err, took)
		}
	}
}
