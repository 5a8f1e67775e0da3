package fanout

import (
	"sync"
	"sync/atomic"

	"github.com/tickwire/tickwire/codec"
)

// batch is what one tape entry, or one checkpoint, changed on the master board.
// Once posted nobody changes it; every loop reads it and releases it.
type batch struct {
	updates []codec.Update // ID is the row; Quote holds the fields of Mask
	refs    atomic.Int32
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// batchKept is the largest batch worth keeping for the next entry, some 1.5 MB. A
// checkpoint of 100,000 symbols makes one of 19 MB, and comes once.
const batchKept = 8192

// newBatch returns an empty batch with one reference, its maker's.
func newBatch() *batch {
	b := batches.Get().(*batch)
	b.updates = b.updates[:0]
	b.refs.Store(1)
	return b
}

// release gives up a reference; the last one recycles the batch.
func (b *batch) release() {
	if b.refs.Add(-1) == 0 && cap(b.updates) <= batchKept {
		batches.Put(b)
	}
}

// grow adds an update, its content undefined.
func (b *batch) grow() *codec.Update {
	if n := len(b.updates); n < cap(b.updates) {
		b.updates = b.updates[:n+1]
	} else {
		b.updates = append(b.updates, codec.Update{})
	}
	return &b.updates[len(b.updates)-1]
}
