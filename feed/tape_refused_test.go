package feed

import (
	"context"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// allow has everybody use a tape and its leases, and of the rest what is named.
func allow(t *testing.T, s *tapetest.Server, keys ...any) {
	t.Helper()
	args := append([]any{"ACL", "SETUSER", "default", "resetkeys", "~tape:*", "~writer:*", "~standby:*"}, keys...)
	if err := s.Client().Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

// The writer's checkpoints fail, here for lack of a right, likewise over a line that is too
// slow for a large one. It goes on without, and when it is to yield it does so without: the
// other has all that is on the tape.
func TestAFeedYieldsWithoutACheckpoint(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	ctx := context.Background()
	writer, standby := pair(t, s)
	allow(t, s, "%R~board:*", "~tapes")
	both(writer, standby, 10, 3)
	writer.written("x:S9", 3)
	time.Sleep(1500 * time.Millisecond)
	both(writer, standby, 10, 4) // it goes on without a checkpoint
	writer.written("x:S9", 4)
	writer.in.say("", codec.Down).gap = true
	writer.in.flush(writer.ctx)
	time.Sleep(500 * time.Millisecond)
	both(writer, standby, 10, 5) // it hears the venue again
	top := func() string { return s.Client().XRevRangeN(ctx, codec.TapeKey("x/0"), "+", "-", 1).Val()[0].ID }
	time.Sleep(2 * time.Second)
	before := top()
	time.Sleep(5 * time.Second)
	if after := top(); after == before {
		t.Errorf("no entry for 5 s after %s; the lease: %q for %v; reigns of the standby: %d\n%s", after,
			s.Client().Get(ctx, codec.WriterKey("x/0")).Val(), s.Client().PTTL(ctx, codec.WriterKey("x/0")).Val(),
			value(standby.stream.writer.tape.counts.reigns), writer.log.b.String())
	}
}

// Checkpoints fail for longer than entries are kept: these stay, so that whoever begins has the
// state of the stream.
func TestNoEntryGoesThatNoCheckpointHas(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	ctx := context.Background()
	f := makeFeed(t, s.URL, Config{Retention: retentionMin})
	f.begin()
	f.reigns()
	f.say(10, 1)
	f.written("x:S9", 1)
	time.Sleep(1200 * time.Millisecond)
	allow(t, s, "%R~board:*", "~tapes")
	hush := talk(f)
	time.Sleep(7 * time.Second)
	hush()
	at, _ := checkpointOf(t, s.Client())
	first := s.Client().XRangeN(ctx, codec.TapeKey("x/0"), "-", "+", 1).Val()[0].ID
	if id, _ := codec.ParseID(first); at.ID.Less(codec.ID{Epoch: id.Epoch, N: id.N - 1}) {
		t.Errorf("the checkpoint is as of %s, the oldest entry is %s, of %d", at.ID, first, s.Client().XLen(ctx, codec.TapeKey("x/0")).Val())
	}
}

// A writer that goes on after a stop leaves alone what is another's lease by now: that may need
// all of it to restore a large state.
func TestAForeignLeaseIsNotCutShort(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	one := &lease{stream: "x/0", crew: newCrew(), shards: 1}
	two := &lease{stream: "x/0", crew: &crew{name: "two"}, shards: 1}
	a, b := tapeOf(t, s), tapeOf(t, s)
	if ok, err := two.take(t.Context(), b.line, true); !ok || err != nil {
		t.Fatal(ok, err)
	}
	key := codec.WriterKey("x/0")
	before := s.Client().PTTL(t.Context(), key).Val()
	if held, err := one.renew(t.Context(), a.line, 1); held || err != nil {
		t.Fatal(held, err)
	}
	if after := s.Client().PTTL(t.Context(), key).Val(); after < before-time.Second {
		t.Errorf("two had %v to restore, one's renewal left it %v", before, after)
	}
}

// The list of streams may not be written: no node finds the stream, and the feed says so.
func TestTheListIsRefused(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	allow(t, s, "~board:*")
	f := beginFeed(t, s.URL)
	f.say(10, 1)
	eventually(t, "the feed says so", func() bool { return f.log.count("nodes that begin do not find it") == 1 })
}

// Redis refuses every now and then that a feed stands by, for lack of a right or when it is full,
// and says who writes the stream in between: that is said a few times, not for ever.
func TestAStandbyIsRefusedNowAndThen(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	f := makeFeed(t, s.URL, Config{})
	w := f.newStream("x", shard{}).writer
	w.lease.holder = "another"
	refused := s.Client().Do(t.Context(), "no such command").Err()
	for range 50 {
		w.tell(t.Context(), refused)
		w.tell(t.Context(), nil)
	}
	if lines := f.log.count("\n"); lines < 2 || lines > 12 {
		t.Errorf("%d lines:\n%s", lines, f.log.b.String())
	}
}
