package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// spoilOne spoils one update in fifty, of those that are fit for it.
func spoilOne(fit codec.Mask, spoil func(*codec.Update)) func(int64, *codec.Update) bool {
	n := 0
	return func(_ int64, u *codec.Update) bool {
		if u.Mask&fit == fit && u.Flags&codec.Image == 0 {
			if n++; n%50 == 0 {
				spoil(u)
			}
		}
		return true
	}
}

// Ensure that subscribers of a chaos run find out what cannot be, and call nothing else
// wrong; and that they say what they lack.
func TestSubscriberTells(t *testing.T) {
	s, symbols := smallStand(t, func(c *Config) { c.Updates = 500 })
	for _, test := range []struct {
		name  string
		spoil func(int64, *codec.Update) bool
		want  string // kind of violations; "": none
	}{
		{"honest", func(int64, *codec.Update) bool { return true }, ""},
		{"a wrong price", spoilOne(1<<codec.Bid, func(u *codec.Update) { u.Quote[codec.Bid]++ }), valueViolation},
		{"a price is kept back", func(n int64, u *codec.Update) bool {
			if n%50 == 0 && u.Flags&codec.Image == 0 {
				u.Mask &^= 1 << codec.Bid
			}
			return true
		}, valueViolation},
		{"a lower seq", spoilOne(0, func(u *codec.Update) { u.Seq -= 1000 }), seqViolation},
		{"a seq that is to come", spoilOne(0, func(u *codec.Update) { u.Seq++ }), valueViolation},
		{"an older event", spoilOne(1<<codec.EventTime, func(u *codec.Update) { u.Quote[codec.EventTime] -= 60e6 }), timeViolation},
		{"another history", spoilOne(0, func(u *codec.Update) { u.Flags, u.History = u.Flags|codec.Image, 1 }), valueViolation},
		{"a number that was not asked for", spoilOne(0, func(u *codec.Update) { u.ID += 1000 }), protocolViolation},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := server(t, (&spoiler{node: s.endpoints[0].Addr, spoil: test.spoil}).pass)
			v := newViolations()
			c := &crowd{nodes: []string{"ws://" + e.Host + e.Path}, ledger: newLedger(symbols, v), violations: v}
			subs, stop := beginFew(t, c, s.redis, len(symbols))
			defer stop()
			end := time.Now().Add(15 * time.Second)
			whole := false
			for time.Now().Before(end) && !(whole && (v.sum() > 0 || test.want == "")) {
				time.Sleep(20 * time.Millisecond)
				checked, _, _ := c.ledger.sums()
				whole = checked > 300 && (test.want != "" || everybody(subs, c.ledger.newest()))
			}
			v.mu.Lock()
			defer v.mu.Unlock()
			if !whole {
				t.Error(subs[0].lacks(c.ledger.newest()))
			}
			if n := v.counts[test.want]; len(v.counts) > 1 || (n > 0) != (test.want != "") || len(v.counts) == 1 && n == 0 {
				t.Errorf("want %q: %s", test.want, strings.Join(v.examples, "\n"))
			}
		})
	}
}

// Ensure that a feed may not write below what was on the tape, and that what was on its way
// in a reign that is over is no such thing.
func TestLedgerReigns(t *testing.T) {
	v := newViolations()
	l := newLedger([]string{"sim:A"}, v)
	enter := func(epoch, seq int64) {
		u := codec.Update{Seq: seq, History: 1, Flags: codec.Image, Mask: 1 << codec.Status, Quote: codec.Empty}
		e := codec.Entry{ID: codec.ID{Epoch: epoch}, History: 1, SentAt: seq}
		l.enter("sim/0", &e, []codec.TapeItem{{Symbol: []byte("sim:A"), Update: u}}, false)
	}
	for _, one := range [][2]int64{{1, 10}, {2, 20}, {1, 11}, {3, 30}} {
		if enter(one[0], one[1]); v.sum() > 0 {
			t.Fatalf("%v: %v", one, v.examples)
		}
	}
	if enter(4, 29); v.counts[tapeViolation] != 1 {
		t.Error("a feed wrote below what was there")
	}
}

func everybody(subs []*subscriber, due []position) bool {
	for _, s := range subs {
		if s.lacks(due) != "" {
			return false
		}
	}
	return true
}

// beginFew begins a few subscribers, and who reads the tape beside them.
func beginFew(t *testing.T, c *crowd, redis string, symbols int) (subs []*subscriber, stop func()) {
	t.Helper()
	rdb, err := tapes.Open(redis, tapes.Role{Name: "test", Conns: 2})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newSurvivor(rdb, c.ledger, "sim/0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var alive sync.WaitGroup
	alive.Go(func() { r.run(ctx) })
	for i := range 5 {
		var ids []int
		for k := range 5 {
			ids = append(ids, (5*i+k)%symbols)
		}
		s := newSubscriber(c, i, ids)
		subs = append(subs, s)
		if s.lacks(c.ledger.newest()) == "" {
			t.Error("nobody is connected, and lacks nothing")
		}
		alive.Go(func() { s.run(ctx) })
	}
	return subs, func() {
		cancel()
		rdb.Close()
		alive.Wait()
	}
}

// Faults are added up by kind.
func TestKinds(t *testing.T) {
	all := []Fault{{Kind: "b", Survived: true, Recovery: 3}, {Kind: "a"}, {Kind: "b", Survived: true, Recovery: 1}, {Kind: "b", Survived: true, Recovery: 2}, {Kind: "b"}}
	got := kinds(all)
	if len(got) != 2 || got[0] != (Kind{Kind: "a", Injected: 1}) || got[1] != (Kind{"b", 4, 3, 2, 3, 3}) {
		t.Errorf("%+v", got)
	}
	var r ChaosReport
	for _, f := range all {
		r.add(f, 0)
	}
	if !r.Failed() || len(r.Problems) != 2 {
		t.Errorf("%+v", r)
	}
}

// Violations are told by kind, and by the fault during which they came.
func TestViolationsAreTold(t *testing.T) {
	c := plannedChaos(1)
	v := newViolations()
	c.ledger, c.crowd, c.res = newLedger(nil, v), &crowd{violations: v}, newChaosReport(c.stand)
	for i, n := range []int{2, 0, 7} {
		for range n {
			v.add(timeViolation, "here")
		}
		c.res.add(Fault{At: float64(10 * i), Kind: "flush Redis", What: "all keys are gone", Survived: true}, v.sum())
	}
	v.add(seqViolation, "there")
	c.res.finish(c, nil)
	v.add(seqViolation, "too late to be told")

	var text bytes.Buffer
	c.res.Print(&text)
	const want = "FAILED\n  at 0.0 s: flush Redis: all keys are gone: 2 violations\n  at 20.0 s: flush Redis: all keys are gone: 7 violations\n" +
		"  1 times: " + seqViolation + "\n  9 times: " + timeViolation + "\n  since the last fault that ended: 1 violations\nmachine "
	if !strings.HasPrefix(text.String(), want) {
		t.Errorf("%s\nwant %s", text.String(), want)
	}
	if n := strings.Count(text.String(), "\nviolation "); n != 1+examplesEach {
		t.Errorf("%d examples", n)
	}
	var read struct {
		Faults     []struct{ Violations int64 }
		Violations map[string]int64
	}
	written, err := json.Marshal(c.res)
	if err == nil {
		err = json.Unmarshal(written, &read)
	}
	if err != nil || !slices.Equal(read.Faults, []struct{ Violations int64 }{{2}, {0}, {7}}) || !maps.Equal(read.Violations, map[string]int64{seqViolation: 1, timeViolation: 9}) {
		t.Errorf("%v: %s", err, written)
	}
	if !c.stand.kept || !c.res.Failed() {
		t.Error("no logs are kept of a run that failed")
	}
}

// The same seed plans the same faults, and none is left out for ever.
func TestFaultsArePlanned(t *testing.T) {
	plan := func() (text string, chosen map[string]bool) {
		c := plannedChaos(1)
		chosen = make(map[string]bool)
		for range 1000 {
			k := c.choose()
			what, _ := k.plan(c)
			text, chosen[k.name] = text+k.name+" "+what+"\n", true
		}
		return text, chosen
	}
	text, chosen := plan()
	if again, _ := plan(); again != text {
		t.Error("another plan for the same seed")
	}
	for _, k := range faultKinds {
		if !chosen[k.name] {
			t.Errorf("%s is not chosen", k.name)
		}
	}
	if !chosen[bothKind] {
		t.Error("never two at once")
	}
}

// plannedChaos is a run of which nothing was begun.
func plannedChaos(seed uint64) *chaos {
	s := &chaosStand{cfg: &Config{Seed: seed}, redis: new(redisPair), streams: []string{"sim/0", "sim/1"}}
	for i := range s.redis.servers {
		s.redis.servers[i] = &redisServer{member: newMember("", "redis", "")}
	}
	for i := range s.redis.sentinels {
		s.redis.sentinels[i] = &sentinel{member: newMember("", "sentinel", "")}
	}
	for range 3 {
		s.feeds, s.nodes = append(s.feeds, newMember("", "feed", "")), append(s.nodes, newMember("", "node", ""))
	}
	return &chaos{rng: rand.New(rand.NewPCG(seed, 0)), stand: s}
}
