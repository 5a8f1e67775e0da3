package epoll

import (
	"sync"
	"sync/atomic"
)

// Work is places to compute in, beside the loops. While many wait, three of four places go
// to those who had one before: or who is nearest to his end would wait behind all that have
// come since, and with more of them than there is time for, nobody would come to his end.
type Work struct {
	places  int
	hanging atomic.Int64 // handshakes that wait for their peers

	mu      sync.Mutex // protects what follows
	free    int
	given   int
	waiting [2][]chan struct{} // who begins, and who goes on
}

// NewWork is so many places.
func NewWork(places int) *Work { return &Work{places: places, free: places} }

// Places is how many there are.
func (w *Work) Places() int { return w.places }

// Hanging is how many handshakes wait for their peers, and not for a place.
func (w *Work) Hanging() int { return int(w.hanging.Load()) }

// Begin waits for a first place, of a nil Work for nothing; Done gives it back.
func (w *Work) Begin() { w.take(0) }

// GoOn is Begin of who has had a place before, or has paid for this one otherwise.
func (w *Work) GoOn() { w.take(1) }

func (w *Work) take(line int) {
	if w == nil {
		return
	}
	w.mu.Lock()
	if w.free > 0 {
		w.free--
		w.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	w.waiting[line] = append(w.waiting[line], turn)
	w.mu.Unlock()
	<-turn
}

// Done gives a place back.
func (w *Work) Done() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.given++
	line := 1
	if len(w.waiting[1]) == 0 || w.given%4 == 0 && len(w.waiting[0]) > 0 {
		line = 0
	}
	if len(w.waiting[line]) == 0 {
		w.free++
		return
	}
	close(w.waiting[line][0])
	w.waiting[line] = w.waiting[line][1:]
}

// hang notes that a handshake waits for its peer, or does not any more.
func (w *Work) hang(n int64) {
	if w != nil {
		w.hanging.Add(n)
	}
}
