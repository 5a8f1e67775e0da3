package tapes

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// A server is the same until it is restarted; one in memory says nothing of itself.
func TestIdentity(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	r := open(t, s.URL)
	identity := func() int64 {
		t.Helper()
		n, err := r.Line(codec.TapeKey("x/0")).Identity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	one := identity()
	if one <= 0 || one > codec.MaxInt || identity() != one {
		t.Errorf("%d, then %d", one, identity())
	}
	s.Kill()
	if _, err := r.Line("x").Identity(t.Context()); err == nil {
		t.Error("there is none")
	}
	s.Start()
	if two := identity(); two == one || two <= 0 {
		t.Errorf("after a restart it is %d, before it was %d", two, one)
	}
	m := open(t, "redis://"+miniredis.RunT(t).Addr())
	if n, err := m.Line("x").Identity(t.Context()); n != 0 || err != nil {
		t.Error(n, err)
	}
}

// A connection begins without a word that Redis refuses: this one what it does not know,
// one with users what they may not say.
func TestConnectingIsNotRefused(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	s.Client().ConfigResetStat(t.Context()) // of what the test's own client says
	info, err := open(t, s.URL).Now().Info(t.Context(), "errorstats").Result()
	if err != nil || strings.Contains(info, "errorstat_") {
		t.Error(info, err)
	}
}

// Lines that begin at the same time do not disturb each other.
func TestLinesAtOnce(t *testing.T) {
	t.Parallel()
	s := tapetest.Start(t)
	for range 20 {
		r := open(t, s.URL)
		var lines sync.WaitGroup
		for range 16 {
			lines.Go(func() {
				line := r.Line("x")
				defer line.Close()
				if err := line.Get(t.Context(), "x").Err(); err != redis.Nil {
					t.Error(err)
				}
			})
		}
		lines.Wait()
	}
}

// After Reopen the connections are others, but not sooner than they may be; after Close none
// is made.
func TestReopen(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	r := open(t, "redis://"+m.Addr())
	first := r.Now()
	r.Reopen()
	if r.Now() != first {
		t.Error("it was opened just now")
	}
	r.opened = time.Now().Add(-reopenEvery)
	r.Reopen()
	if r.Now() == first || r.Now().Ping(t.Context()).Err() != nil || first.Ping(t.Context()).Err() == nil {
		t.Error("it was not reopened")
	}
	r.opened = time.Now().Add(-reopenEvery)
	r.Close()
	r.Reopen()
	if err := r.Now().Ping(t.Context()).Err(); err == nil {
		t.Error("it is closed")
	}
}

// startCluster is two nodes: what one has not, the other has.
func startCluster(t *testing.T) (url string) {
	t.Helper()
	one, two := tapetest.Start(t, "--cluster-enabled", "yes"), tapetest.Start(t, "--cluster-enabled", "yes")
	a, b := one.Client(), two.Client()
	for _, err := range []error{
		a.ClusterAddSlotsRange(t.Context(), 0, 8191).Err(),
		b.ClusterAddSlotsRange(t.Context(), 8192, 16383).Err(),
		a.Do(t.Context(), "CONFIG", "SET", "cluster-require-full-coverage", "no").Err(),
		a.ClusterMeet(t.Context(), "127.0.0.1", two.Port).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, rdb := range []*redis.Client{a, b} {
		eventually(t, "the nodes know of each other", func() bool {
			info := rdb.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
		})
	}
	return one.URL + "?cluster=true"
}

// A Cluster takes every command: streams are on one node or the other.
func TestCluster(t *testing.T) {
	t.Parallel()
	r := open(t, startCluster(t))
	var streams []string
	nodes := map[int64]bool{}
	for _, stream := range []string{"x/0", "x/1", "x/2", "x/3"} {
		w := newWriter(t, r.Now(), stream)
		w.tick(100, "x:A", "x:B")
		w.checkpoint()
		w.run(nil)
		streams = append(streams, stream)
		id, err := r.Line(codec.TapeKey(stream)).Identity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		nodes[id] = true
	}
	if len(nodes) != 2 {
		t.Errorf("the streams are on %d nodes", len(nodes))
	}
	h := listen(t, r, Tail{})
	all, err := r.Verify(t.Context(), streams, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if !all[i].Good() || all[i].Compared != 2 {
			t.Errorf("%+v", all[i])
		}
	}
	stats, err := r.Statuses(t.Context(), streams)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range stats {
		if one.Symbols != 2 || one.Bytes == 0 || one.Trouble != "" || one.Hole != nil {
			t.Errorf("%+v", one)
		}
	}
	h.says(t, "x:A 1700000000000050 0.49")
	w := newWriter(t, r.Now(), "x/9")
	w.sentAt = func() int64 { return 1 }
	w.tick(1)
	if removed, err := r.Drop(t.Context(), "x/9"); err != nil || len(removed) != 2 {
		t.Error(removed, err)
	}
}

// A Sentinel's master is written and read like any other; a Sentinel that hangs is an error
// within seconds.
func TestSentinel(t *testing.T) {
	t.Parallel()
	master := tapetest.Start(t)
	s := tapetest.Start(t, "--sentinel")
	r := open(t, s.URL+"?master_name=m")
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: s.Addr})
	defer sentinel.Close()
	if err := sentinel.Monitor(t.Context(), "m", "127.0.0.1", master.Port, "1").Err(); err != nil {
		t.Fatal(err)
	}
	w := newWriter(t, r.Now(), "x/0")
	w.tick(1, "x:A")
	w.checkpoint()
	w.run(nil)
	if got := verify(t, r, "x/0"); !got.Good() {
		t.Errorf("%+v", got)
	}
	if got := status(t, r, "x/0"); got.Symbols != 1 || got.Trouble != "" {
		t.Errorf("%+v", got)
	}
	line := r.Line("k")
	far := open(t, s.URL+"?master_name=m&replicas=true").Line("k")
	if line.Old() || far.Old() {
		t.Error("a line is old when it is new")
	}
	if far.old = far.old.Add(-2 * lineLife); line.Old() || !far.Old() {
		t.Error("a line to a replica is used for ever, or one to a master is not")
	}
	s.Hang(true)
	defer s.Hang(false)
	began := time.Now()
	if _, err := open(t, s.URL+"?master_name=m").Streams(t.Context()); err == nil || time.Since(began) > smallTimeout+time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
