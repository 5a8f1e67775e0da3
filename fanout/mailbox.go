package fanout

import (
	"sync"

	"github.com/tickwire/tickwire/fanout/epoll"
)

// mailbox is how anything reaches a loop: batches from the tape readers, and
// errands from others: a drain, a handshake or a token that is done, what was revoked,
// who was replaced. Posting wakes the loop at most once per drain. A loop that falls behind loses its queue, not its state: it reads
// the master board instead.
type mailbox struct {
	poll *epoll.Poll

	mu      sync.Mutex // protects what follows; held for an append or a swap
	batches []*batch
	errands []func(*loop)
	lapped  bool
	woken   bool // a wake-up is under way, or the loop is about to drain
}

// post queues a batch, of which the mailbox then owns one reference.
func (m *mailbox) post(b *batch) {
	m.mu.Lock()
	switch {
	case m.lapped:
		b.release()
	case len(m.batches) == mailboxMax:
		m.lapped = true
		for _, queued := range m.batches {
			queued.release()
		}
		clear(m.batches)
		m.batches = m.batches[:0]
		b.release()
	default:
		m.batches = append(m.batches, b)
	}
	m.wake()
}

// send queues an errand, to be run by the loop at the beginning of a cycle.
func (m *mailbox) send(errand func(*loop)) {
	m.mu.Lock()
	m.errands = append(m.errands, errand)
	m.wake()
}

// wake unlocks mu.
func (m *mailbox) wake() {
	wake := !m.woken
	m.woken = true
	m.mu.Unlock()
	if wake {
		m.poll.Wake()
	}
}

// posted reports whether something waits. A loop that polled in the midst of a cycle has
// taken the wake-up, and no other will come.
func (m *mailbox) posted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.woken
}

// drain swaps what has gathered for the empty slices given, and reports whether
// batches were lost.
func (m *mailbox) drain(batches []*batch, errands []func(*loop)) ([]*batch, []func(*loop), bool) {
	m.mu.Lock()
	batches, m.batches = m.batches, batches[:0]
	errands, m.errands = m.errands, errands[:0]
	lapped := m.lapped
	m.lapped, m.woken = false, false
	m.mu.Unlock()
	return batches, errands, lapped
}
