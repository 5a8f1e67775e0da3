package fanout

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// says builds an update that names fields and their values.
func says(seq int64, flags codec.Flags, values map[codec.Field]int64) *codec.Update {
	u := &codec.Update{Seq: seq, Flags: flags, History: 1000, Quote: codec.Empty}
	for f, v := range values {
		u.Mask |= 1 << f
		u.Quote[f] = v
	}
	return u
}

// told is what a batch says, one line an update.
func told(m *master, b *batch) (lines []string) {
	for i := range b.updates {
		u := &b.updates[i]
		line := fmt.Sprintf("%s seq=%d%s", m.rows[u.ID].symbol, u.Seq, flagWords(u))
		for f := codec.Field(0); f < codec.NumFields; f++ {
			switch {
			case !u.Mask.Has(f):
			case u.Quote[f] == codec.Absent:
				line += fmt.Sprintf(" %s=none", f)
			default:
				line += fmt.Sprintf(" %s=%d", f, u.Quote[f])
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestMerge(t *testing.T) {
	type values = map[codec.Field]int64
	older := says(1008, codec.Image, values{codec.Bid: 1, codec.Status: codec.Live})
	renewed := says(1012, codec.Image, values{codec.Bid: 1, codec.Status: codec.Live})
	older.History, renewed.History = 2000, 2000
	steps := []struct {
		name   string
		update *codec.Update
		want   []string
	}{
		{"the first is an image", says(1001, codec.Image, values{codec.Bid: 10, codec.Ask: 12, codec.Status: codec.Live}),
			[]string{"sim:A seq=1001 image history=1000 bid=10 ask=12 status=0"}},
		{"a delta", says(1002, 0, values{codec.Bid: 11}), []string{"sim:A seq=1002 bid=11"}},
		{"only what changed is said", says(1003, 0, values{codec.Bid: 11, codec.Ask: 13}), []string{"sim:A seq=1003 ask=13"}},
		{"a repeat is not", says(1003, 0, values{codec.Ask: 13}), nil},
		{"a seq without a change is", says(1004, 0, values{codec.Ask: 13}), []string{"sim:A seq=1004"}},
		{"a field becomes absent", says(1005, 0, values{codec.Ask: codec.Absent}), []string{"sim:A seq=1005 ask=none"}},
		{"a gap", says(1006, codec.Gap, values{codec.Bid: 9}), []string{"sim:A seq=1006 gap bid=9"}},
		{"an image of what is known", says(1006, codec.Image, values{codec.Bid: 9, codec.Status: codec.Live}), nil},
		{"an image replaces", says(1009, codec.Image, values{codec.Ask: 14, codec.Status: codec.Live}), []string{"sim:A seq=1009 bid=none ask=14"}},
		{"what is older is not shown", says(1007, 0, values{codec.Ask: 15}), nil},
		{"nor is an older image", says(1008, codec.Image, values{codec.Bid: 15, codec.Status: codec.Live}), nil},
		{"a gap in which nothing changed", says(1010, codec.Gap|codec.Image, values{codec.Ask: 14, codec.Status: codec.Live}), []string{"sim:A seq=1010 gap status=0"}},
		{"an older image of the same", says(1009, codec.Image, values{codec.Ask: 15, codec.Status: codec.Live}), nil},
		{"what lies between is not known", says(1011, codec.Image, values{codec.Ask: 14, codec.Status: codec.Live}), []string{"sim:A seq=1011 gap status=0"}},
		{"nor is one of another history", older, nil},
		{"nor what adds to that", says(1011, 0, values{codec.Bid: 15}), nil},
		{"another history", renewed, []string{"sim:A seq=1012 image history=2000 gap bid=1 status=0"}},
	}
	m, s := newMaster(), new(stream)
	for _, step := range steps {
		b := newBatch()
		m.mu.Lock()
		m.merge(b, s, []byte("sim:A"), step.update)
		m.publish()
		m.mu.Unlock()
		if diff := cmp.Diff(step.want, told(m, b)); diff != "" {
			t.Fatalf("%s: %s", step.name, diff)
		}
	}
	r := &m.rows[0]
	if r.changed[codec.Bid] != 1012 || r.changed[codec.Ask] != 0 || r.gap != 1012 || r.from != 1012 {
		t.Fatalf("changed bid %d ask %d, gap %d, from %d", r.changed[codec.Bid], r.changed[codec.Ask], r.gap, r.from)
	}
}

func TestMergeUnknownDelta(t *testing.T) {
	m, b := newMaster(), newBatch()
	m.merge(b, new(stream), []byte("sim:A"), says(1005, 0, map[codec.Field]int64{codec.Bid: 4}))
	want := []string{"sim:A seq=1005 image history=1000 bid=4"}
	if diff := cmp.Diff(want, told(m, b)); diff != "" {
		t.Fatal(diff)
	}
}

func TestStale(t *testing.T) {
	type values = map[codec.Field]int64
	m, one, two := newMaster(), new(stream), new(stream)
	b := newBatch()
	m.merge(b, one, []byte("sim:A"), says(5, codec.Image, values{codec.Bid: 1, codec.Status: codec.Live}))
	m.merge(b, one, []byte("sim:B"), says(6, codec.Image, values{codec.Bid: 1, codec.Status: codec.Down}))
	m.merge(b, one, []byte("sim:C"), says(7, codec.Image, values{codec.Bid: 1, codec.Status: codec.Closed}))
	m.merge(b, two, []byte("sim:D"), says(8, codec.Image, values{codec.Bid: 1, codec.Status: codec.Live}))
	check := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, told(m, b)); diff != "" {
			t.Fatalf("%s: %s", what, diff)
		}
		b = newBatch()
	}
	restate := func(s *stream, stale bool) { s.stale.Store(stale); m.restate(b, s) }
	b = newBatch()
	restate(one, true)
	check("silence", "sim:A seq=5 status=1", "sim:B seq=6 status=1")
	m.merge(b, one, []byte("sim:A"), says(9, codec.Image, values{codec.Bid: 1, codec.Status: codec.Halted}))
	check("a checkpoint in the silence", "sim:A seq=9")
	restate(one, false)
	check("the tape speaks", "sim:A seq=9 status=3", "sim:B seq=6 status=2")
	m.doubt(one)
	m.merge(b, one, []byte("sim:B"), says(6, codec.Image, values{codec.Bid: 1, codec.Status: codec.Down}))
	m.restate(b, one)
	check("not in the checkpoint", "sim:A seq=9 status=1")
	restate(one, true)
	restate(one, false)
	check("and never again", "sim:B seq=6 status=1", "sim:B seq=6 status=2")
	m.merge(b, one, []byte("sim:A"), says(10, 0, values{codec.Bid: 2}))
	check("but with a gap", "sim:A seq=10 gap bid=2")
	m.merge(b, one, []byte("sim:A"), says(11, 0, values{codec.Bid: 3}))
	check("of which there is one", "sim:A seq=11 bid=3")
	if m.merge(b, two, []byte("sim:A"), says(12, 0, values{codec.Bid: 2, codec.Status: codec.Live})) {
		t.Fatal("another stream's delta is merged")
	}
	check("another stream's delta")
	if m.merge(b, two, []byte("sim:A"), says(10, codec.Image, values{codec.Bid: 2, codec.Status: codec.Live})) {
		t.Fatal("another stream's older image is merged")
	}
	m.merge(b, two, []byte("sim:A"), says(12, codec.Image, values{codec.Bid: 2, codec.Status: codec.Live}))
	check("another stream's", "sim:A seq=12 gap bid=2 status=0")
	restate(one, true)
	check("does not go stale with the first", "sim:B seq=6 status=1")
}

// Lists that were handed out stay as they were, while others read and rows are added.
func TestNames(t *testing.T) {
	m, s := newMaster(), new(stream)
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for id, name := range m.list() {
					if want := fmt.Sprintf("sim:S%d", id); name != want {
						t.Errorf("row %d is %s", id, name)
						return
					}
				}
				m.each(func(r *masterRow) { _ = r.update.Seq })
			}
		})
	}
	u := says(1, codec.Image, map[codec.Field]int64{codec.Bid: 1})
	for n := 0; n < 2000; n += 20 {
		b := newBatch()
		m.mu.Lock()
		for i := range 20 {
			m.merge(b, s, fmt.Appendf(nil, "sim:S%d", n+i), u)
		}
		m.publish()
		m.mu.Unlock()
		b.release()
	}
	close(stop)
	readers.Wait()
	if len(m.list()) != 2000 {
		t.Fatal(len(m.list()))
	}
}

// entryOf packs an entry of n symbols whose every update changes the prices.
func entryOf(n int, id, prev codec.ID, seq int64) redis.XMessage {
	var body []byte
	for i := range n {
		u := says(seq, 0, map[codec.Field]int64{
			codec.Bid: 6183760 + seq + int64(i), codec.BidSize: 100 + seq, codec.Ask: 6183770 + seq, codec.AskSize: 200,
			codec.EventTime: 1700000000000000 + seq, codec.RecvTime: 1700000000000100 + seq, codec.Status: codec.Live,
		})
		if seq == 1 {
			u.Flags = codec.Image
		}
		body = codec.AppendTapeUpdate(body, fmt.Sprintf("sim:S%d-USD", i), u)
	}
	e := codec.Entry{ID: id, Prev: prev, History: 1000, SentAt: 1, Count: n}
	blob := codec.AppendEntry(nil, &e, body)
	return redis.XMessage{ID: id.String(), Values: map[string]any{codec.EntryField: string(blob)}}
}

var discard = slog.New(slog.DiscardHandler)

// quietly is a stream that is read by hand, its batches released at once.
func quietly() *stream {
	t := &tape{
		master: newMaster(), post: func(b *batch) { b.release() },
		counts: newTapeCounts(prometheus.NewRegistry()), log: discard,
	}
	cursor, _ := codec.NewCursor(sim)
	return &stream{tape: t, name: sim, cursor: cursor}
}

// entries is a reign's first 1,000.
func entries(symbols, n int) (list []redis.XMessage) {
	prev := codec.ID{}
	for i := range n {
		id := codec.ID{Epoch: 1700000000000, N: int64(i)}
		list = append(list, entryOf(symbols, id, prev, int64(i+1)))
		prev = id
	}
	return list
}

func TestAcceptAllocatesNothing(t *testing.T) {
	s, list := quietly(), entries(100, 200)
	take := func() {
		if why := s.accept(&list[0]); why != "" {
			t.Fatal(why)
		}
		list = list[1:]
	}
	for range 50 {
		take()
	}
	if n := testing.AllocsPerRun(100, take); n >= 1 && !raceEnabled {
		t.Fatalf("%v allocations an entry", n)
	}
}

func BenchmarkAccept(b *testing.B) {
	const symbols = 100
	s, list := quietly(), entries(symbols, 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(list) == 0 {
			s.cursor.Last = codec.ID{}
		}
		if s.accept(&list[i%len(list)]) != "" {
			b.Fatal("a hole")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*symbols), "ns/update")
}

// A hundred thousand symbols that appear at once.
func BenchmarkAppear(b *testing.B) {
	m := entryOf(100_000, codec.ID{Epoch: 1700000000000}, codec.ID{}, 1)
	for b.Loop() {
		s := quietly()
		if s.accept(&m) != "" {
			b.Fatal("a hole")
		}
	}
}
