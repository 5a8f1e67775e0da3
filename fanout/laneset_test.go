package fanout

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever is added and taken out, of however many lanes, a set has what it should, in
// the smallest of its three forms.
func TestLaneSet(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, lanes := range []uint32{1, 20, 300, 5000, 70_000} {
		var (
			mem  slab[uint32]
			set  laneSet
			want = map[uint32]bool{}
		)
		check := func() {
			t.Helper()
			got := slices.Sorted(set.all(&mem))
			if !slices.Equal(got, slices.Sorted(maps.Keys(want))) || int(set.n) != len(want) {
				t.Fatalf("of %d lanes: %d lanes, counted as %d, want %d", lanes, len(got), set.n, len(want))
			}
			// A list of half as many words, or none, is made of a bitmap.
			if room := len(mem.get(set.block)); room > 16 && room > 5*len(want)/4 && room > 5*int(lanes)/32/4+1 {
				t.Fatalf("of %d lanes: %d words for %d of them", lanes, room, len(want))
			}
		}
		now := lanes / 2 // a loop has more and more
		for step := range 20_000 {
			now = min(lanes, now+1)
			// It fills, empties, and fills again.
			if li := r.Uint32N(now); r.IntN(10) < []int{9, 1, 6}[step/7000] {
				if !want[li] {
					want[li] = true
					set.add(&mem, li, now)
				}
			} else if len(want) > 0 {
				for li = range want {
					break
				}
				delete(want, li)
				set.remove(&mem, li)
			}
			if step%500 == 0 {
				check()
			}
		}
		check()
		for li := range want {
			set.remove(&mem, li)
		}
		if set != (laneSet{}) {
			t.Errorf("of %d lanes: empty, but %+v", lanes, set)
		}
	}
}

func BenchmarkLaneSet(b *testing.B) {
	for name, n := range map[string]uint32{"list": 500, "bitmap": 5000} {
		b.Run(name, func(b *testing.B) {
			const lanes = 18_000
			var (
				mem slab[uint32]
				set laneSet
				sum uint32
			)
			for _, li := range rand.Perm(lanes)[:n] {
				set.add(&mem, uint32(li), lanes)
			}
			if (set.form == bitmap) != (name == "bitmap") {
				b.Fatal("not of that form")
			}
			b.ReportAllocs()
			for b.Loop() {
				for li := range set.all(&mem) {
					sum += li
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/lane")
		})
	}
}
