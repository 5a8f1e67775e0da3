package fanout

// A slab hands out blocks of T in power-of-two sizes. T holds no pointers, and a
// class keeps its blocks in a few chunks, so the garbage collector sees a handful
// of slices however many subscribers there are. A block is named by a handle; 0
// is no block. One goroutine, its loop's, uses a slab.
type slab[T any] struct {
	classes [slabClasses]slabClass[T]
}

type slabClass[T any] struct {
	chunks [][]T
	free   []uint32 // indexes of blocks given back
	used   uint32   // blocks ever handed out
}

const (
	slabSmallest = 4  // elements of class 0
	slabClasses  = 26 // the largest class holds 4<<25 = 134 M elements
	chunkBlocks  = 64 // blocks in a chunk, while it stays within chunkMax
	chunkMax     = 1 << 13
	classShift   = 27 // handle: class+1 above, index of the block below
)

// alloc returns a block of at least n elements, their content undefined.
func (s *slab[T]) alloc(n int) uint32 {
	class := 0
	for slabSmallest<<class < n {
		class++
	}
	c := &s.classes[class]
	var index uint32
	if k := len(c.free); k > 0 {
		index, c.free = c.free[k-1], c.free[:k-1]
	} else {
		index = c.used
		c.used++
		if int(index)/perChunk(class) == len(c.chunks) {
			c.chunks = append(c.chunks, nil)
		}
	}
	if chunk := &c.chunks[int(index)/perChunk(class)]; *chunk == nil {
		*chunk = make([]T, perChunk(class)*slabSmallest<<class)
	}
	return uint32(class+1)<<classShift | index
}

// get returns a block's elements, all that its size class has room for.
func (s *slab[T]) get(h uint32) []T {
	if h == 0 {
		return nil
	}
	class, index := int(h>>classShift)-1, int(h&(1<<classShift-1))
	per, size := perChunk(class), slabSmallest<<class
	at := index % per * size
	return s.classes[class].chunks[index/per][at : at+size : at+size]
}

// release gives a block back; none is fine. One that fills a chunk goes back to the
// collector: a rare large answer is not kept for ever.
func (s *slab[T]) release(h uint32) {
	if h == 0 {
		return
	}
	class, index := int(h>>classShift)-1, h&(1<<classShift-1)
	c := &s.classes[class]
	c.free = append(c.free, index)
	if perChunk(class) == 1 {
		c.chunks[index] = nil
	}
}

// grow returns a block of at least n elements that begins with the first keep of
// h, which may be h itself; otherwise h is given back.
func (s *slab[T]) grow(h uint32, keep, n int) uint32 {
	if h != 0 && n <= slabSmallest<<(h>>classShift-1) {
		return h
	}
	bigger := s.alloc(n)
	copy(s.get(bigger), s.get(h)[:keep])
	s.release(h)
	return bigger
}

func perChunk(class int) int {
	return max(1, min(chunkBlocks, chunkMax/(slabSmallest<<class)))
}
