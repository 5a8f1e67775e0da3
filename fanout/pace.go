package fanout

import (
	"slices"
	"sync/atomic"
	"time"
)

// A write costs some 10 us of CPU whatever it carries, an update in it a tenth of one.
// So when a loop has much to do, conns that have message after message take turns, one
// each in a pause, and what changes between two turns shares a message. The pause grows
// with the loop's load, up to Config.Pace: so far, who has few messages does not wait. Beyond it a
// loop that is at its end has a longer pause, which it can keep: everybody is served as
// often, and nothing grows old in a queue.
//
// Neighbours in memory have their turn together, in order: their sockets, which the kernel
// made one after the other, are then neighbours too. While a conn waits its raw lanes are
// to be scanned, and that a row of theirs changes costs nothing.
type pacer struct {
	pause   time.Duration // 0: nobody waits
	load    float64       // the part of the time that cycles take, lately
	flush   float64       // and flushing, of which a longer pause has less
	ended   time.Duration // when the last cycle did, on the loop's clock
	stepped time.Duration // when the pause was looked at
	turn    uint32        // number of the last one
	turned  time.Duration // when it was
	waiting [paceTurns][]uint32
	nwait   int // conns in waiting; one that was closed meanwhile is counted

	published atomic.Int64 // pause, for a scrape
}

const (
	paceTurns = 16 // in a pause
	paceGroup = 32 // conns in a row that have the same: 8 to 25 % more messages than with 1, at the end of a loop
	paceMost  = 100 * time.Millisecond
	paceLong  = 5 * time.Second // a longer pause serves nobody

	// paceEvery is how often the pause takes a step, and how far back the load looks; a
	// longer pause is both.
	paceEvery = 100 * time.Millisecond
	// A step up is due above the first load, a step down below the second. Steps are
	// such that one down does not bring about its opposite.
	loadHigh, loadLow    = 0.3, 0.1  // up to Config.Pace, by 2
	loadFull, loadNear   = 0.9, 0.85 // beyond it, by a twentieth
	flushMost, flushNear = 0.75, 0.7 // if it is flushing that there is too much of
	loadOver             = 0.97      // or up by a quarter
	loadMay, flushMay    = 0.7, 0.5  // and down by a fifth

	// hotAfter messages in a row, each soon after the one before or of so many updates,
	// make a conn one that has message after message. It hardly matters: 1 and 16 cost as much.
	hotAfter   = 4
	hotUpdates = 2
)

// setPause derives the pause from how much of the time the loop was at work, the
// cycle included that ends now.
func (l *loop) setPause() {
	l.stamp()
	p := &l.pacer
	whole := l.clock - p.ended
	if whole <= 0 {
		return
	}
	every := max(paceEvery, p.pause)
	weight := min(1, float64(whole)/float64(every))
	p.load += (float64(l.clock-l.began)/float64(whole) - p.load) * weight
	p.flush += (float64(l.flushed)/float64(whole) - p.flush) * weight
	p.ended = l.clock
	if l.clock-p.stepped < every {
		return
	}
	p.stepped = l.clock
	p.pause = nextPause(p.pause, l.cfg.Pace, p.load, p.flush)
	p.published.Store(int64(p.pause))
}

// nextPause is a pause a step on.
func nextPause(pause, pace time.Duration, load, flush float64) time.Duration {
	switch {
	case pause < pace && load > loadHigh:
		return min(max(2*pause, pace/8), pace)
	case pause <= pace && load < loadLow && pause > pace/8:
		return pause / 2
	case pause <= pace && load < loadLow:
		return 0
	case pause >= pace && load > loadOver && flush > flushMost:
		return min(pause*5/4, paceLong)
	case pause >= pace && load > loadFull && flush > flushMost:
		return min(pause*21/20, paceLong)
	case pause > pace && (load < loadMay || flush < flushMay):
		return max(pause*4/5, pace)
	case pause > pace && (load < loadNear || flush < flushNear):
		return max(pause*19/20, pace)
	}
	return pause
}

// heat notes that a conn has a message now, of so many updates. One that comes less than
// half a pause after the last would have shared it; of one that waited, the updates tell.
func (l *loop) heat(c *conn, updates int) {
	pause, since := max(l.cfg.Pace, l.pacer.pause), l.clock-c.spoke
	if since > pause/2 && (updates < hotUpdates || since > 2*pause) {
		c.hot = 0
	} else if c.hot < hotAfter {
		c.hot++
	}
}

// hold has a conn wait for its turn if it is to, and reports whether it is: one that is
// hot, unless it has been silent since. At its end a loop has nobody speak twice in a
// pause: of conns with a message in some 20 ms each, those that are not hot would leave
// less and less to those that are.
func (l *loop) hold(ci uint32) bool {
	c, p := &l.conns[ci], &l.pacer
	since := l.clock - c.spoke
	hot := c.hot >= hotAfter && since <= 2*max(l.cfg.Pace, p.pause)
	again := p.pause > l.cfg.Pace && since < p.pause
	if p.pause == 0 || !hot && !again {
		return false
	}
	list := &p.waiting[ci/paceGroup%paceTurns]
	*list = append(*list, ci)
	p.nwait++
	for li := c.lanes; li != 0; li = l.lanes[li].next {
		if ln := &l.lanes[li]; ln.period == 0 && !ln.asleep {
			ln.scan = true
		}
	}
	return true
}

// takeTurns makes the conns due whose turn has come. Every turn has its time, also when
// the pause changes: who waits has his within a pause of the longer.
func (l *loop) takeTurns() {
	p := &l.pacer
	turns := paceTurns // of no pause: nobody has to wait any more
	if step := p.pause / paceTurns; step > 0 {
		turns = int(min((l.clock-p.turned)/step, paceTurns))
		p.turned += time.Duration(turns) * step
	}
	if turns == paceTurns {
		p.turned = l.clock
	}
	for ; turns > 0; turns-- {
		p.turn++
		list := &p.waiting[p.turn%paceTurns]
		slices.Sort(*list)
		l.scheduled = append(l.scheduled, *list...)
		p.nwait -= len(*list)
		*list = (*list)[:0]
	}
}

// nextTurn is how long until a conn that waits has its turn, at most most.
func (l *loop) nextTurn(most time.Duration) time.Duration {
	p := &l.pacer
	if p.nwait == 0 {
		return most
	}
	ahead := uint32(1)
	for len(p.waiting[(p.turn+ahead)%paceTurns]) == 0 {
		ahead++
	}
	return min(most, max(0, p.turned+time.Duration(ahead)*(p.pause/paceTurns)-l.clock))
}
