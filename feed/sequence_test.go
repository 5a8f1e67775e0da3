package feed

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tickwire/tickwire/codec"
)

// reader adds up what is published, and holds it to what the tape promises.
type reader struct {
	quotes map[string]codec.Quote
	seqs   map[string]int64
	gaps   map[string]int // updates that said GAP
	count  int
}

func newReader() *reader {
	return &reader{quotes: map[string]codec.Quote{}, seqs: map[string]int64{}, gaps: map[string]int{}}
}

// read takes the updates of an entry or a checkpoint. Of an entry every seq is above
// the one before.
func (r *reader) read(body []byte, count int, entry bool) error {
	for range count {
		var u codec.Update
		view, rest, err := codec.ParseTapeUpdate(body, &u)
		if err != nil {
			return err
		}
		body = rest
		symbol := string(view)
		quote, known := r.quotes[symbol]
		image := u.Flags&codec.Image != 0
		switch last := r.seqs[symbol]; {
		case entry && !known && !image:
			return fmt.Errorf("%s: the first update, seq %d, is no image", symbol, u.Seq)
		case entry && known && u.Seq <= last || u.Seq < last:
			return fmt.Errorf("%s: seq %d after %d", symbol, u.Seq, last)
		case image && u.Seq <= u.History:
			return fmt.Errorf("%s: seq %d is not above history %d", symbol, u.Seq, u.History)
		}
		if image {
			quote = codec.Empty
		}
		quote.Merge(&u.Quote, u.Mask)
		if u.Flags&codec.Gap != 0 {
			r.gaps[symbol]++
		}
		r.quotes[symbol], r.seqs[symbol] = quote, u.Seq
		r.count++
	}
	if len(body) > 0 {
		return codec.ErrTrailing
	}
	return nil
}

// same reports where the reader has not what the sequencer has.
func (r *reader) same(t *testing.T, q *sequencer) {
	t.Helper()
	known, wrong := 0, 0
	for i := range q.states {
		s := &q.states[i]
		if !s.known() {
			continue
		}
		known++
		if quote := r.quotes[s.symbol]; quote != s.update.Quote || r.seqs[s.symbol] != s.update.Seq {
			if wrong++; wrong > 3 {
				continue
			}
			t.Errorf("%s: read seq %d %v, it is seq %d %v", s.symbol, r.seqs[s.symbol], quote, s.update.Seq, s.update.Quote)
		}
	}
	if known != len(r.quotes) {
		t.Errorf("%d symbols were read, there are %d", len(r.quotes), known)
	}
}

// bookTick is a bid and an ask of a symbol, in 10^-2.
func bookTick(symbol string, bid int64) *tick {
	t := &tick{symbol: symbol, channel: chBook, quote: codec.Empty}
	t.set(codec.Bid, bid)
	t.set(codec.Ask, bid+2)
	t.set(codec.RecvTime, bid)
	t.quote[codec.PriceScale] = 2
	return t
}

// randomTick is of any channel, with any fields, many of which a wire cannot carry.
func randomTick(rng *rand.Rand) *tick {
	t := &tick{symbol: fmt.Sprintf("x:S%d", rng.IntN(20)), channel: channel(rng.IntN(int(numChannels))), quote: codec.Empty}
	for range rng.IntN(6) {
		f := codec.Field(rng.IntN(codec.NumFields))
		v := rng.Int64N(100)
		switch rng.IntN(30) {
		case 0:
			v = codec.Absent
		case 1:
			v = rng.Int64() // up to 2^63
		case 2:
			v = -rng.Int64N(1 << 53)
		}
		t.set(f, v)
	}
	for f := codec.PriceScale; f <= codec.VolumeScale; f++ {
		t.quote[f] = rng.Int64N(6)
	}
	if t.channel == chStatus {
		t.quote[codec.Status] = rng.Int64N(5)
	}
	t.order, t.gap = rng.Int64N(4), rng.IntN(40) == 0
	return t
}

// Whatever comes, readers can read what is published and end up with our state,
// merged or not.
func TestAnyTicksAddUp(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		q, r, spent := newSequencer(newCounts(nil, "x/0")), newReader(), new(batch)
		for range 3000 {
			switch rng.IntN(40) {
			case 0:
				q.pending.full = true // the batch has grown too large
			case 1:
				q.all(rng.Int64N(5), rng.IntN(2) == 0)
			case 2:
				spent = q.cut(spent)
				if err := r.read(spent.body, spent.count, true); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			default:
				q.apply(randomTick(rng))
			}
		}
		spent = q.cut(spent)
		if err := r.read(spent.body, spent.count, true); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		r.same(t, q)
		if n := value(q.counts.updates) - value(q.counts.merged); n != int64(r.count) {
			t.Errorf("seed %d: %d published and not merged, %d read", seed, n, r.count)
		}
	}
}

// An entry is bounded however many symbols wait, nobody waits for ever, and in the
// end everybody's newest state was published.
func TestEntriesAreBounded(t *testing.T) {
	const symbols = 30_000
	q, r, spent := newSequencer(newCounts(nil, "x/0")), newReader(), new(batch)
	names := make([]string, symbols)
	for i := range names {
		names[i] = fmt.Sprintf("x:S%05d-USD", i)
	}
	entries := 0
	take := func() {
		entries++
		spent = q.cut(spent)
		if len(spent.body) > bodyMax+1024 {
			t.Fatalf("an entry of %d bytes", len(spent.body))
		}
		if err := r.read(spent.body, spent.count, true); err != nil {
			t.Fatal(err)
		}
	}
	for round := range int64(3) {
		for _, name := range names {
			q.apply(bookTick(name, 100+round))
		}
		take() // less than comes
	}
	if q.hasRoom() {
		t.Error("there is room for more while symbols are left over")
	}
	for len(q.pending.dirty) > 0 {
		take()
	}
	r.same(t, q)
	if value(q.counts.merged) == 0 || r.count < symbols {
		t.Errorf("%d merged, %d read in %d entries", value(q.counts.merged), r.count, entries)
	}
	// What was made use of is bounded by symbols, not by what came.
	before := cap(q.pending.body)
	for i := range int64(1_000_000) {
		q.apply(bookTick(names[i%10], i))
	}
	if cap(q.pending.body) > max(before, 2*bodyMax) || len(q.pending.dirty) != 10 {
		t.Errorf("a million updates of 10 symbols hold %d bytes and %d symbols", cap(q.pending.body), len(q.pending.dirty))
	}
}

// A source that waits has every update on the tape.
func TestThePatientAreNotMerged(t *testing.T) {
	q, r := newSequencer(newCounts(nil, "x/0")), newReader()
	q.patient = true
	n := 0
	for ; q.hasRoom(); n++ {
		q.apply(bookTick("x:A", int64(n)))
	}
	for range 20_000 { // the block that was let in may be large
		n++
		q.apply(bookTick("x:A", int64(n)))
	}
	b := q.cut(new(batch))
	if len(b.body) < bodyMax {
		t.Fatal("the test is too small")
	}
	if err := r.read(b.body, b.count, true); err != nil || r.count != n || value(q.counts.merged) != 0 {
		t.Errorf("%d of %d updates, %v", r.count, n, err)
	}
}

// From a tick to the pending batch and on to the writer nothing is allocated.
func TestNothingOnTheHotPathAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	q := newSequencer(newCounts(nil, "x/0"))
	s := &stream{seq: q}
	spent, i := new(batch), int64(0)
	names := [...]string{"x:A", "x:B", "x:C", "x:D"}
	round := func() {
		b := newBlock()
		for range 64 {
			i++
			b.ticks = append(b.ticks, *bookTick(names[i%4], i))
		}
		s.sequence(b)
		spent = q.cut(spent)
	}
	over := func() { // the same with a batch that is too large
		q.pending.full = true
		round()
	}
	for name, f := range map[string]func(){"tick to batch": round, "merged": over} {
		f()
		f()
		if n := testing.AllocsPerRun(500, f); n >= 1 {
			t.Errorf("%s: %v allocations for 64 ticks", name, n)
		}
	}
}

func BenchmarkTickToBatch(b *testing.B) {
	q, spent := newSequencer(newCounts(nil, "x/0")), new(batch)
	ticks := make([]*tick, 1024)
	for i := range ticks {
		ticks[i] = bookTick(fmt.Sprintf("x:S%d", i%100), int64(i))
	}
	b.ReportAllocs()
	bytes := 0
	for i := 0; b.Loop(); i++ {
		q.apply(ticks[i%1024])
		if i%1024 == 1023 {
			spent = q.cut(spent)
			bytes += len(spent.body)
		}
	}
	b.SetBytes(int64(bytes / b.N))
}

func BenchmarkCheckpoint(b *testing.B) {
	const symbols = 100_000
	q := newSequencer(newCounts(nil, "x/0"))
	for i := range symbols {
		q.apply(bookTick(fmt.Sprintf("x:S%d", i), int64(i)))
	}
	var body []byte
	for b.Loop() {
		body, _ = q.images(body[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/symbols, "ns/symbol")
}
