package feed

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// deaf is a proxy before a Redis that, when told, passes on what it is sent and then
// breaks the connection instead of passing on the answer.
type deaf struct {
	net.Listener
	to  string
	now atomic.Bool
	did atomic.Int64
}

func startDeaf(t *testing.T, s *tapetest.Server) *deaf {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &deaf{Listener: l, to: "127.0.0.1:" + s.Port}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.serve(conn)
		}
	}()
	return d
}

func (d *deaf) serve(conn net.Conn) {
	defer conn.Close()
	redis, err := net.Dial("tcp", d.to)
	if err != nil {
		return
	}
	defer redis.Close()
	go func() { io.Copy(redis, conn); redis.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := redis.Read(buf)
		if err != nil || d.now.CompareAndSwap(true, false) {
			d.did.Add(1)
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

// An entry whose answer was lost is tried again under its id: it is on the tape once,
// and nobody takes it for another writer's.
func TestALostAnswerMakesNoSecondEntry(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	d := startDeaf(t, s)
	n := follow(t, s.URL, "x/0")
	f := beginFeed(t, "redis://"+d.Addr().String())
	hush := talk(f)
	for range 10 {
		time.Sleep(50 * time.Millisecond)
		d.now.Store(true)
	}
	time.Sleep(300 * time.Millisecond)
	hush()
	finished(t, f, n, s)
	if d.did.Load() < 5 || n.holes > 0 || !unbroken(n.ids) {
		t.Errorf("%d answers lost, %d holes in %v", d.did.Load(), n.holes, n.ids)
	}
}

// An idle stream says so four times a second, a busy one only what it has to.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	rdb := s.Client()
	f := beginFeed(t, s.URL)
	time.Sleep(2100 * time.Millisecond)
	idle := rdb.XLen(t.Context(), codec.TapeKey("x/0")).Val() - 1 // the fence
	if idle < 6 || idle > 10 {
		t.Errorf("%d heartbeats in 2.1 s", idle)
	}
	empty := 0
	f.say(1, 1)
	f.written("x:S0", 1)
	hush := talk(f)
	time.Sleep(time.Second)
	hush()
	for _, m := range rdb.XRangeN(t.Context(), codec.TapeKey("x/0"), "-", "+", 10_000).Val()[idle+1:] {
		if e, _, err := codec.ParseEntry([]byte(m.Values[codec.EntryField].(string))); err != nil || e.Count == 0 {
			empty++
		}
	}
	if empty > 3 {
		t.Errorf("%d heartbeats while there was something to say", empty)
	}
	if err := f.stop(); err != nil {
		t.Error(err)
	}
}

// A checkpoint comes every second, whether or not something changed.
func TestCheckpointsComeEverySecond(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	f := beginFeed(t, s.URL)
	time.Sleep(3500 * time.Millisecond)
	if c := value(f.stream.seq.counts.checkpoints); c < 3 || c > 4 { // the first with the first entry
		t.Errorf("%d checkpoints in 3.5 s of silence", c)
	}
	hush := talk(f)
	time.Sleep(2300 * time.Millisecond)
	if c := value(f.stream.seq.counts.checkpoints); c < 5 || c > 7 {
		t.Errorf("%d checkpoints after 2.3 s of changes", c)
	}
	hush()
	if err := f.stop(); err != nil {
		t.Error(err)
	}
}

// Entries go when they are old, when they are many, and when they are much; those of
// older reigns go with them. The last one, and what a reader needs after the
// checkpoint, stays.
func TestRetention(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	rdb := s.Client()
	for _, c := range []struct {
		name string
		age  func(tp *tape) // has what was written so far be beyond a limit
		keep int64
	}{
		{"young", func(*tape) {}, 1001},
		{"old", func(tp *tape) { tp.marks[len(tp.marks)-1].at = time.Now().Add(-retention - time.Second) }, 200},
		{"much", func(tp *tape) { tp.bytes += retainedMax + 1 }, 200},
		{"many", func(tp *tape) { tp.id.N += entriesMax }, 200},
	} {
		rdb.FlushAll(t.Context())
		tp := tapeOf(t, s)
		tp.id.Epoch = 1000
		write := func(n int, checkpoint *batch) {
			for range n {
				if err := tp.write(t.Context(), job{batch: new(batch), checkpoint: checkpoint}); err != nil {
					t.Fatal(err)
				}
			}
		}
		write(999, nil)
		write(1, new(batch))
		c.age(tp)
		write(1, nil)
		left := rdb.XLen(t.Context(), codec.TapeKey("x/0")).Val()
		if left > c.keep || left == 0 || c.name == "young" && left != c.keep {
			t.Errorf("%s: %d entries are left", c.name, left)
		}
		top := rdb.XRevRangeN(t.Context(), codec.TapeKey("x/0"), "+", "-", 1).Val()
		if len(top) != 1 || top[0].ID != tp.id.String() {
			t.Errorf("%s: the last is %v, written was %s", c.name, top, tp.id)
		}
	}
	if tp := newTape(nil, "", 10*retention, nil, nil); tp.most != 10*entriesMax || tp.size != 10*retainedMax {
		t.Errorf("ten times as long, %d entries and %d bytes", tp.most, tp.size)
	}
	for tp, n := newTape(nil, "", 0, nil, nil), int64(0); n < 1000; n++ { // marks do not pile up
		tp.marks, tp.covered = append(tp.marks, mark{at: time.Now().Add(-time.Hour), n: n}), n
		if tp.keepFrom(codec.ID{N: n}); len(tp.marks) > 2 {
			t.Fatalf("%d marks", len(tp.marks))
		}
	}
}

// A fence has reigns go that ended long ago, and nothing that is young or that a reader
// needs after the checkpoint, whatever this feed wrote before.
func TestAFenceKeepsWhatIsYoung(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	rdb, tp := s.Client(), tapeOf(t, s)
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).UnixMilli() }
	gone, stays, young := ago(2*time.Hour), ago(time.Hour), ago(10*time.Second)
	write := func(epoch int64, checkpoint *batch) {
		tp.id = codec.ID{Epoch: epoch}
		for range 300 {
			if err := tp.write(t.Context(), job{batch: new(batch), checkpoint: checkpoint}); err != nil {
				t.Fatal(err)
			}
		}
	}
	reign := func() {
		tp.marks = []mark{{at: time.Now().Add(-time.Hour), n: 299}} // of the reign before
		if _, err := tp.reign(t.Context(), newSequencer(tp.counts), &lease{stream: "x/0", crew: newCrew()}); err != nil {
			t.Fatal(err)
		}
	}
	left := func(epoch int64) int {
		from := codec.ID{Epoch: epoch}
		return len(rdb.XRange(t.Context(), codec.TapeKey("x/0"), from.String(), strconv.FormatInt(epoch, 10)).Val())
	}
	write(gone, new(batch))
	reign() // the checkpoint is older than what could go
	if left(gone) != 300 {
		t.Errorf("of the reign that has the checkpoint %d entries are left", left(gone))
	}
	rdb.Del(t.Context(), codec.TapeKey("x/0"))
	write(gone, nil)
	write(stays, nil)
	write(young, new(batch))
	for range 3 {
		reign()
	}
	if left(gone) > 100 || left(stays) != 300 || left(young) != 300 || rdb.XLen(t.Context(), codec.TapeKey("x/0")).Val() != int64(left(gone)+603) {
		t.Errorf("left are %d, %d and %d entries", left(gone), left(stays), left(young))
	}
}

// Config.Retention, which a Redis in memory wants short, is how long entries stay. A
// reader can go on from the checkpoint all the same, also when nothing changes.
func TestAShortRetention(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	rdb, f := client(t, "redis://"+m.Addr()), makeFeed(t, "redis://"+m.Addr(), Config{Retention: 2 * time.Second})
	f.begin()
	f.reigns()
	f.say(10, 1)
	for range 9 {
		time.Sleep(500 * time.Millisecond)
		entries := rdb.XRange(t.Context(), codec.TapeKey("x/0"), "-", "+").Val()
		e, _ := checkpointOf(t, rdb)
		oldest, err := codec.ParseID(entries[0].ID)
		if err != nil || (e.ID.Less(oldest) && e.ID.N+1 != oldest.N) {
			t.Fatalf("the checkpoint is as of %s, the oldest entry is %s", e.ID, oldest)
		}
		first, _, err := codec.ParseEntry([]byte(entries[0].Values[codec.EntryField].(string)))
		if age := time.Since(time.UnixMicro(first.SentAt)); err != nil || age > 4*time.Second {
			t.Fatalf("an entry stays for %v", age)
		}
	}
	if err := f.stop(); err != nil {
		t.Error(err)
	}
}

// A checkpoint that Redis refuses costs no entry, and is tried again with the next.
func TestARefusedCheckpoint(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	rdb := s.Client()
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "default", "resetkeys", "~tape*", "~writer:*", "~standby:*", "%R~board:*").Err(); err != nil {
		t.Fatal(err)
	}
	n := follow(t, s.URL, "x/0")
	f := beginFeed(t, s.URL)
	f.say(10, 1)
	f.written("x:S9", 1)
	eventually(t, "it is logged", func() bool { return f.log.count("does not take the checkpoint") > 0 })
	f.say(10, 2)
	f.written("x:S9", 2)
	time.Sleep(time.Second)
	if tries := value(f.stream.seq.counts.redisErrors); tries > 4 {
		t.Errorf("it is tried %d times in a second", tries)
	}
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "default", "allkeys").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the checkpoint", func() bool { return rdb.Exists(context.Background(), codec.CheckpointKey("x/0")).Val() == 1 })
	finished(t, f, n, s)
	if n.holes > 0 {
		t.Errorf("%d holes", n.holes)
	}
}

// What is pending when a feed ends is written, for at most a second: also if Redis
// takes nothing, when it hangs, and while it is gone.
func TestTheEndIsWritten(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	f := beginFeed(t, s.URL)
	for bid := range int64(100) {
		f.say(1000, bid+1)
	}
	if took := finished(t, f, n, s); took > flushWithin+300*time.Millisecond && !raceEnabled {
		t.Errorf("it took %v", took)
	}
	for what, away := range map[string]func(){"gone": s.Kill, "hanging": func() { s.Hang(true) }} {
		s.Start()
		f := beginFeed(t, s.URL)
		f.say(10, 1)
		f.written("x:S0", 1)
		away()
		f.say(10, 2)
		time.Sleep(50 * time.Millisecond)
		began := time.Now()
		if err := f.stop(); err != nil {
			t.Errorf("redis is %s: %v", what, err)
		}
		if took := time.Since(began); took > flushWithin+300*time.Millisecond {
			t.Errorf("redis is %s: it took %v", what, took)
		}
		if f.log.count("before redis had everything") != 1 {
			t.Errorf("redis is %s: it is not said", what)
		}
		s.Kill()
	}
}

// --gather makes entries fewer and fuller, and loses nothing.
func TestGather(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	n := follow(t, s.URL, "x/0")
	f := makeFeed(t, s.URL, Config{Gather: 50 * time.Millisecond})
	f.begin()
	f.reigns()
	hush := talk(f)
	time.Sleep(time.Second)
	f.written("x:S9", hush())
	entries := value(f.stream.writer.tape.counts.entries)
	if updates := value(f.stream.writer.tape.counts.updates); entries > 25 || updates < 1000 {
		t.Errorf("%d updates in %d entries", updates, entries)
	}
	finished(t, f, n, s)
	if n.holes > 0 || value(f.stream.writer.tape.counts.merged) > 0 {
		t.Errorf("%d holes, %d merged", n.holes, value(f.stream.writer.tape.counts.merged))
	}
}
