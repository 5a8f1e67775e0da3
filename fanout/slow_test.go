package fanout

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// A subscriber that does not read while 200,000 updates pass: the node's memory does
// not grow, it then receives fewer than 1 % of them, flagged CONFLATED slow, and ends
// exactly right; the fast one beside it sees no difference.
func TestStoppedReader(t *testing.T) {
	const symbols, rounds = 20, 10_000
	n := startNode(t, nil)
	names := make([]string, symbols)
	for i := range names {
		names[i] = "sim:" + string(rune('A'+i))
		n.publish(names[i], bid(1))
	}
	slow, fast := dial(t, n.addr), dial(t, n.addr)
	for _, p := range []*peer{slow, fast} {
		p.next(codec.TypeHello)
		p.send(`{"op":"subscribe","id":1,"symbols":["sim:*"]}`)
		p.next(codec.TypeReply)
	}
	var fastUpdates atomic.Int64
	fastEnd := make(chan codec.Update, 1)
	last := int64(rounds + 1)
	go func() { // reads until it holds the last seq of the last symbol
		for ended := 0; ended < symbols; {
			for _, u := range fast.next(codec.TypeData).Updates {
				fastUpdates.Add(1)
				if u.Seq == last {
					ended++
					if ended == symbols {
						fastEnd <- u
					}
				}
			}
		}
	}()
	before := heapInUse()
	for round := range rounds {
		for _, name := range names {
			n.publish(name, likely(int64(2+round)))
		}
		time.Sleep(50 * time.Microsecond)
	}
	select {
	case <-fastEnd:
	case <-time.After(20 * time.Second):
		t.Fatal("the fast reader did not get the end")
	}
	if grown := heapInUse() - before; grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes while a reader stood still", grown)
	}
	// Now it reads, until it holds the end of every symbol.
	got, conflated := 0, 0
	held := map[uint32]codec.Update{}
	for ended := 0; ended < symbols; {
		for _, u := range slow.next(codec.TypeData).Updates {
			got++
			if u.Seq < held[u.ID].Seq {
				t.Fatalf("seq went back from %d to %d", held[u.ID].Seq, u.Seq)
			}
			if u.Flags&codec.Conflated != 0 && u.Flags&codec.ReasonMask == codec.ReasonSlow {
				conflated++
			}
			if held[u.ID] = u; u.Seq == last {
				ended++
			}
		}
	}
	for _, u := range held {
		if u.Quote[codec.Bid] != rounds+1 {
			t.Errorf("it ends with %+v", u)
		}
	}
	total := symbols * rounds
	t.Logf("of %d updates the fast reader got %d, the stopped one %d, %d of them conflated", total, fastUpdates.Load(), got, conflated)
	if got > total/100 {
		t.Errorf("the stopped reader got %d of %d updates", got, total)
	}
	if conflated < symbols {
		t.Errorf("only %d updates are flagged CONFLATED slow", conflated)
	}
}

// likely is an update as venues make them: both sides of the book, and times.
func likely(v int64) codec.Quote {
	q := bid(v)
	q[codec.BidSize], q[codec.Ask], q[codec.AskSize] = v*7%100_000, v+1, v*13%100_000
	q[codec.EventTime], q[codec.RecvTime] = 1_700_000_000_000_000+v, 1_700_000_000_000_100+v
	return q
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}
