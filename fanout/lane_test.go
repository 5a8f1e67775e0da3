package fanout

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tickwire/tickwire/codec"
)

// Whatever conns join, leave, change and are lost: every raw sub is listed by its row
// once, and the counts and hashes are theirs.
func TestSubsAndSubscribersAgree(t *testing.T) {
	const conns, symbols = 20, 40
	c := newCrowd(t, conns, symbols, false, 0)
	l, r := c.loop, rand.New(rand.NewPCG(1, 2))
	pick := func() (out [][]byte) {
		for range 1 + r.IntN(12) {
			out = append(out, c.symbols[r.IntN(symbols)])
		}
		return out
	}
	for range 5000 {
		ci := uint32(1 + r.IntN(conns))
		if l.conns[ci].state != stateOpen {
			ci = l.newConn(1)
			l.conns[ci].state = stateOpen
		}
		l.conns[ci].budget = 100
		req := codec.Request{Symbols: pick()}
		req.Op = []codec.Op{codec.OpSubscribe, codec.OpUnsubscribe, codec.OpSet}[r.IntN(3)]
		if req.HasRate = r.IntN(2) == 0; req.HasRate {
			req.Rate = float64(r.IntN(3))
		}
		if r.IntN(3) == 0 {
			req.Fields = [][]byte{[]byte("bid")}
		}
		if r.IntN(10) == 0 {
			req.Symbols = append(req.Symbols, []byte("sim:*"))
		}
		if r.IntN(50) == 0 {
			l.lose(ci, "reset")
		}
		l.request(ci, false, codec.AppendRequest(nil, &req))
		if r.IntN(4) == 0 {
			c.tick(1 + r.IntN(symbols))
			l.runCycle(nil)
		}
		checkSubs(t, l)
	}
}

func checkSubs(t *testing.T, l *loop) {
	t.Helper()
	raw, all := 0, 0
	for ci := range l.conns {
		if l.conns[ci].state == stateFree {
			continue
		}
		var hash uint32
		held, n := map[uint32]bool{}, 0
		for li := l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
			ln := &l.lanes[li]
			for _, s := range l.subs.get(ln.subs)[:ln.n] {
				id := s.id()
				if held[id] {
					t.Fatalf("conn %d has two subs of row %d", ci, id)
				}
				held[id], n, hash = true, n+1, hash^l.board.rows[id].hash
				if ln.period != 0 {
					continue
				}
				raw++
				set := &l.board.rows[id].subscribers
				if !slices.Contains(slices.Collect(set.all(&l.subscribers)), li) {
					t.Fatalf("row %d does not list lane %d", id, li)
				}
			}
		}
		if c := &l.conns[ci]; c.subs != uint32(n) || c.hash != hash {
			t.Fatalf("conn %d counts %d subs and hash %x; it has %d and %x", ci, c.subs, c.hash, n, hash)
		}
		all += n
	}
	listed := 0
	for id := range l.board.rows {
		listed += int(l.board.rows[id].subscribers.n)
	}
	if listed != raw || l.rawSubs != raw || l.nsubs != all {
		t.Fatalf("%d subs, %d raw, %d listed; the loop counts %d and %d", all, raw, listed, l.nsubs, l.rawSubs)
	}
}
