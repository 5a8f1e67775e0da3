package fanout

import "math/bits"

// A slab hands out blocks of T in sizes of its own, four to each doubling: of more than
// four elements a fifth of a block is unused at most. T holds no pointers, and blocks lie
// in chunks, so the garbage collector sees few slices however many subscribers there are.
// A block is named by a handle; 0 is no block. One goroutine, its loop's, uses a slab.
type slab[T any] struct {
	classes [slabClasses]slabClass[T]
}

type slabClass[T any] struct {
	chunks []slabChunk[T]
	avail  []uint32 // the chunks with a free block
	empty  int      // of which have memory and no block: one is kept, the others are not
}

type slabChunk[T any] struct {
	mem  []T
	free uint64 // a bit for each block
}

const (
	slabSmallest = 4   // elements of class 0
	slabClasses  = 101 // the largest class holds 4<<25 = 134 M elements
	chunkShift   = 5   // log2 of blocks in a chunk, while it stays within chunkMax
	chunkMax     = 13  // log2 of elements
	classShift   = 25  // handle: class+1 above, index of the block below
)

// classOf is the class of the smallest blocks that hold n elements.
func classOf(n int) int {
	if n <= slabSmallest {
		return 0
	}
	doublings := bits.Len(uint(n-1)) - 3
	return doublings<<2 + (n-1)>>doublings - slabSmallest + 1
}

// classSize is how many elements its blocks hold.
func classSize(class int) int { return (slabSmallest + class&3) << (class >> 2) }

// classChunk is log2 of how many blocks one of its chunks has.
func classChunk(class int) int { return max(0, min(chunkShift, chunkMax-3-class>>2)) }

// alloc returns a block of at least n elements, their content undefined.
func (s *slab[T]) alloc(n int) uint32 {
	class := classOf(n)
	c, shift := &s.classes[class], classChunk(class)
	if len(c.avail) == 0 {
		c.avail = append(c.avail, uint32(len(c.chunks)))
		c.chunks = append(c.chunks, slabChunk[T]{free: allFree(shift)})
	}
	k := c.avail[len(c.avail)-1]
	chunk := &c.chunks[k]
	switch {
	case chunk.mem == nil:
		chunk.mem = make([]T, classSize(class)<<shift)
	case chunk.free == allFree(shift):
		c.empty--
	}
	block := uint32(bits.TrailingZeros64(chunk.free))
	if chunk.free &^= 1 << block; chunk.free == 0 {
		c.avail = c.avail[:len(c.avail)-1]
	}
	return uint32(class+1)<<classShift | k<<shift | block
}

func allFree(shift int) uint64 { return 1<<(1<<shift) - 1 }

// get returns a block's elements, all that its size class has room for.
func (s *slab[T]) get(h uint32) []T {
	if h == 0 {
		return nil
	}
	class, index := int(h>>classShift)-1, int(h&(1<<classShift-1))
	shift, size := classChunk(class), classSize(class)
	at := index & (1<<shift - 1) * size
	return s.classes[class].chunks[index>>shift].mem[at : at+size : at+size]
}

// release gives a block back; none is fine. A chunk that has none left goes back to the
// collector, but for one of each class whose chunks are shared: what all have outgrown,
// or a rare large answer, is not kept for ever.
func (s *slab[T]) release(h uint32) {
	if h == 0 {
		return
	}
	class, index := int(h>>classShift)-1, h&(1<<classShift-1)
	c, shift := &s.classes[class], classChunk(class)
	k := index >> shift
	chunk := &c.chunks[k]
	if chunk.free == 0 {
		c.avail = append(c.avail, k)
	}
	chunk.free |= 1 << (index & (1<<shift - 1))
	switch {
	case chunk.free != allFree(shift):
	case shift == 0 || c.empty > 0:
		chunk.mem = nil
	default:
		c.empty++
	}
}

// grow returns a block of at least n elements that begins with the first keep of
// h, which may be h itself; otherwise h is given back.
func (s *slab[T]) grow(h uint32, keep, n int) uint32 {
	if h != 0 && n <= classSize(int(h>>classShift)-1) {
		return h
	}
	bigger := s.alloc(n)
	copy(s.get(bigger), s.get(h)[:keep])
	s.release(h)
	return bigger
}
