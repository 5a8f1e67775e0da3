package fanout

import (
	"math/rand/v2"
	"testing"
)

// Blocks keep their content and never overlap, whatever is taken and given back.
func TestSlabBlocksAreApart(t *testing.T) {
	var s slab[uint32]
	r := rand.New(rand.NewPCG(3, 4))
	held := map[uint32]int{} // handle -> length; filled with the handle
	for range 20_000 {
		switch r.IntN(3) {
		case 0, 1:
			n := 1 + r.IntN(1<<r.IntN(14))
			h := s.alloc(n)
			if _, twice := held[h]; twice || h == 0 {
				t.Fatalf("handle %#x given twice", h)
			}
			if len(s.get(h)) < n {
				t.Fatalf("asked for %d, got %d", n, len(s.get(h)))
			}
			for i := range s.get(h)[:n] {
				s.get(h)[i] = h
			}
			held[h] = n
		case 2:
			for h, n := range held {
				for _, v := range s.get(h)[:n] {
					if v != h {
						t.Fatalf("block %#x was written by %#x", h, v)
					}
				}
				s.release(h)
				delete(held, h)
				break
			}
		}
	}
}

func TestSlabGrowKeepsTheBeginning(t *testing.T) {
	var s slab[byte]
	h := s.grow(0, 0, 3)
	copy(s.get(h), "abc")
	for n := 4; n < 1<<18; n *= 2 {
		if h = s.grow(h, 3, n); string(s.get(h)[:3]) != "abc" || len(s.get(h)) < n {
			t.Fatalf("after growing to %d: %q", n, s.get(h)[:3])
		}
	}
	if s.grow(h, 3, 10) != h {
		t.Error("a block that is large enough moved")
	}
}

func TestSlabAllocatesNothingWhenReused(t *testing.T) {
	var s slab[byte]
	s.release(s.alloc(1000))
	if n := testing.AllocsPerRun(100, func() { s.release(s.alloc(1000)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
