package bench

import (
	"fmt"
	"sync/atomic"

	"github.com/tickwire/tickwire/codec"
)

// crowd is what all subscribers of a chaos run share.
type crowd struct {
	nodes      []string // ws://HOST:PORT/v1/stream
	ledger     *ledger
	violations *violations

	updates, gaps, connects, left, lost atomic.Int64
}

// holding is one symbol, as far as it is known.
type holding struct {
	id       int    // of the ledger
	number   uint32 // the node's, if numbered
	numbered bool
	refused  string   // why not
	at       position // a seq of 0: nothing is known
	quote    codec.Quote
}

// distrust has everything begin anew, with images: a node may be behind what was held.
func (s *subscriber) distrust() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.held {
		s.held[i].at, s.held[i].quote = position{}, codec.Empty
	}
}

// lacks tells what a subscriber has not of what was published up to the given positions;
// "" is nothing.
func (s *subscriber) lacks(due []position) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return fmt.Sprintf("subscriber %d is not connected", s.number)
	}
	for i := range s.held {
		h := &s.held[i]
		why := ""
		switch {
		case !h.numbered:
			why = "is not subscribed: " + h.refused
		case h.at.seq < due[h.id].seq:
			why = fmt.Sprintf("is at %v, not at %v", h.at, due[h.id])
		case h.quote[codec.Status] != codec.Live:
			why = fmt.Sprintf("says %s at %v; the tape says %s", statusName(h.quote[codec.Status]), h.at, statusName(s.crowd.ledger.status(h.id)))
		case !s.crowd.ledger.has(h.id, h.at):
			why = fmt.Sprintf("is at %v, which the tape does not have", h.at)
		}
		if why != "" {
			return fmt.Sprintf("subscriber %d of node %d: %s %s", s.number, s.node+1, s.crowd.ledger.rows[h.id].symbol, why)
		}
	}
	return ""
}

func statusName(status int64) string {
	if status >= 0 && status < int64(len(codec.StatusNames)) {
		return codec.StatusNames[status]
	}
	return shownValue(status)
}

// cutOff ends the connection, if it is to that node.
func (s *subscriber) cutOff(node int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.node == node {
		s.conn.Close()
	}
}

// forget has a subscriber begin as a new one.
func (s *subscriber) forget() {
	s.distrust()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
	}
}
