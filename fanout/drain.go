package fanout

import (
	"math/rand/v2"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/epoll"
)

// beginDrain stops accepting, tells every client, and has them go at random
// moments within the window.
func (l *loop) beginDrain(window time.Duration) {
	l.stopAccepting()
	l.drainEnd = l.clock + window
	l.sweepAt = 0
	for ci := 1; ci < len(l.conns); ci++ {
		c := &l.conns[ci]
		if c.state == stateOpen {
			c.leaveAt = l.clock + time.Duration(rand.Int64N(int64(window)+1))
			l.tell(uint32(ci), &codec.Drain{WithinMS: window.Milliseconds()})
		}
	}
}

// sweepDraining closes who is due to go, and everybody when the window is over: reap ends
// the loop when all have gone.
func (l *loop) sweepDraining() {
	over := l.clock >= l.drainEnd
	for ci := 1; ci < len(l.conns); ci++ {
		switch c := &l.conns[ci]; {
		case c.state > stateFree && c.state < stateOpen:
			l.lose(uint32(ci), "drained")
		case c.state == stateOpen && (over || l.clock >= c.leaveAt):
			l.bye(uint32(ci), codec.CloseRestart, "the node restarts; connect again")
		}
	}
	if l.clock >= l.drainEnd+lingerTime/4 {
		for ci := 1; ci < len(l.conns); ci++ {
			if l.conns[ci].state != stateFree {
				l.lose(uint32(ci), "drained")
			}
		}
	}
}

// stopAccepting closes the listener; what waits in its backlog is refused by the
// kernel.
func (l *loop) stopAccepting() {
	if l.listener >= 0 {
		epoll.Close(l.listener)
		l.listener = -1
	}
}
