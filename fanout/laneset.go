package fanout

import (
	"iter"
	"math/bits"
)

// laneSet is the raw lanes that have a sub of one row, in whichever form takes the least
// memory. Its block lies in a slab of the loop.
type laneSet struct {
	block uint32 // slab handle
	n     uint32 // lanes in it
	form  laneForm
}

type laneForm uint8

const (
	shortList laneForm = iota // two lanes to a word, in no order; all are below shortMost
	longList                  // a lane to a word
	bitmap                    // a bit for each lane that the loop has
)

const shortMost = 1 << 16

// add puts in a lane that is not there, of so many that the loop has.
func (s *laneSet) add(mem *slab[uint32], li, lanes uint32) {
	switch more := s.n + 1; {
	case s.form == bitmap:
	case s.words(more) > lanes/32+1 && s.words(more) > slabSmallest:
		s.rebuild(mem, bitmap)
	case s.form == shortList && li >= shortMost:
		s.rebuild(mem, longList)
	}
	s.put(mem, li)
}

// words is how many a list of n lanes has.
func (s *laneSet) words(n uint32) uint32 {
	if s.form == shortList {
		return (n + 1) / 2
	}
	return n
}

// put is add in the form that the set has.
func (s *laneSet) put(mem *slab[uint32], li uint32) {
	if s.form != bitmap {
		s.block = mem.grow(s.block, int(s.words(s.n)), int(s.words(s.n+1)))
		s.store(mem.get(s.block), s.n, li)
	} else {
		if before := len(mem.get(s.block)); int(li/32) >= before {
			s.block = mem.grow(s.block, before, int(li/32)+1)
			clear(mem.get(s.block)[before:])
		}
		mem.get(s.block)[li/32] |= 1 << (li % 32)
	}
	s.n++
}

// remove takes out a lane that is there.
func (s *laneSet) remove(mem *slab[uint32], li uint32) {
	block := mem.get(s.block)
	if s.n--; s.n == 0 {
		mem.release(s.block)
		*s = laneSet{}
		return
	}
	if s.form != bitmap {
		i := uint32(0)
		for s.load(block, i) != li {
			i++
		}
		s.store(block, i, s.load(block, s.n))
		return
	}
	block[li/32] &^= 1 << (li % 32)
	list := laneSet{form: longList}
	if len(block) <= shortMost/32 {
		list.form = shortList
	}
	if int(list.words(s.n)) < len(block)/2 { // half, lest it goes to and fro
		s.rebuild(mem, list.form)
	}
}

// load and store are of a list's lane i.
func (s *laneSet) load(block []uint32, i uint32) uint32 {
	if s.form == longList {
		return block[i]
	}
	return block[i/2] >> (i % 2 * 16) & (shortMost - 1)
}

func (s *laneSet) store(block []uint32, i, li uint32) {
	if s.form == longList {
		block[i] = li
		return
	}
	shift := i % 2 * 16
	block[i/2] = block[i/2]&^((shortMost-1)<<shift) | li<<shift
}

// rebuild brings the set into another form.
func (s *laneSet) rebuild(mem *slab[uint32], form laneForm) {
	to := laneSet{form: form}
	for li := range s.all(mem) {
		to.put(mem, li)
	}
	mem.release(s.block)
	*s = to
}

// all are the lanes; the set must not change meanwhile.
func (s *laneSet) all(mem *slab[uint32]) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		block := mem.get(s.block)
		if s.form != bitmap {
			for i := range s.n {
				if !yield(s.load(block, i)) {
					return
				}
			}
			return
		}
		for i, word := range block {
			for ; word != 0; word &= word - 1 {
				if !yield(uint32(32*i + bits.TrailingZeros32(word))) {
					return
				}
			}
		}
	}
}
