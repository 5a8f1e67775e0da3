package fanout

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/tickwire/tickwire/codec"
)

// A connection costs a node at most 512 bytes of its own memory, and each subscription
// at most 8, whatever it is that conns choose.
func TestMemoryPerConn(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory too")
	}
	const connBytes, subBytes = 512, 8
	t.Logf("conn %d, lane %d, row %d bytes", unsafe.Sizeof(conn{}), unsafe.Sizeof(lane{}), unsafe.Sizeof(row{}))
	for _, c := range []struct{ conns, subs, symbols int }{
		{18_000, 0, 1000}, {18_000, 1, 1000}, {18_000, 10, 1000}, {18_000, 10, 20_000}, {18_000, 100, 1000}, {18_000, 100, 20_000}, {2000, 1000, 5000}, {18_000, 50, 200},
	} {
		t.Run(fmt.Sprintf("%d of %d", c.subs, c.symbols), func(t *testing.T) {
			crowd := newCrowd(t, 0, c.symbols, false, 0)
			crowd.cfg.MaxConns = c.conns
			before := heap()
			r := rand.New(rand.NewPCG(7, 8))
			order := r.Perm(c.symbols)
			for range c.conns {
				ci := crowd.newConn(1)
				crowd.conns[ci].state = stateOpen
				for k := range c.subs {
					i := k + r.IntN(c.symbols-k)
					order[k], order[i] = order[i], order[k]
					crowd.join(crowd.laneFor(ci, 0, ^codec.Mask(0)), uint32(order[k]), true)
				}
			}
			crowd.runCycle(nil) // the images are sent
			crowd.runCycle(nil)
			used := heap() - before
			runtime.KeepAlive(crowd)
			each := float64(used) / float64(c.conns)
			t.Logf("%.0f bytes a conn", each)
			if most := float64(connBytes + subBytes*c.subs); each > most {
				t.Errorf("%d conns of %d subs each: %.0f bytes a conn, of %.0f", c.conns, c.subs, each, most)
			}
		})
	}
}

// heap is what is in use, garbage collected.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
