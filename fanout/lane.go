package fanout

import (
	"time"

	"github.com/tickwire/tickwire/codec"
)

// lane is the subs of one conn that share a rate and a view, and so one base.
// Most conns have one. Lanes live in a slab of the loop, without pointers.
//
//	          change of a row            flush
//	settled ------------------> hit ------------------> settled
//	   |   sub added, conn woken, wheel                    ^
//	   +---------------------------> scan -----------------+
//
// Settled: nothing changed after base. Hit: what changed is listed in hits. Scan:
// the subs themselves must be looked through. A lane whose conn is blocked or
// paused is asleep: nobody visits it, and it wakes to a scan.
type lane struct {
	conn uint32
	next uint32 // next lane of the conn, or next free lane
	subs uint32 // slab handle of entries: row id, and isNew in the top bit
	n    uint32 // entries
	sig  uint64 // bit id%64 of every row ever subscribed: a cheap "surely not"

	base   uint64 // what changed in later cycles is still to be sent
	mark   uint64 // cycle in which the scan under way began: the next base
	cursor uint32 // entries the scan under way is done with

	hit    uint32     // head in loop.hits; 0 none
	view   codec.Mask // what the subs asked for, with the scales it needs
	slot   uint32     // place in its list of the wheel
	period uint8      // index into periods; 0 raw
	phase  uint8
	scan   bool
	asleep bool
}

// isNew marks a sub that waits for its image.
const isNew = 1 << 31

// hit is one changed row in the list of a lane.
type hit struct{ row, next uint32 }

// wheel holds the rated lanes by period and phase, and when each is due next.
type wheel struct {
	lanes [len(periods)][phases][]uint32
	next  [len(periods)][phases]time.Duration // on the loop's clock
}

// laneFor returns the conn's lane of that period and view, made if need be.
func (l *loop) laneFor(ci uint32, period uint8, view codec.Mask) uint32 {
	for li := l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
		if l.lanes[li].period == period && l.lanes[li].view == view {
			return li
		}
	}
	li := l.freeLane
	if li != 0 {
		l.freeLane = l.lanes[li].next
	} else {
		li = uint32(len(l.lanes))
		l.lanes = append(l.lanes, lane{})
	}
	c := &l.conns[ci]
	l.lanes[li] = lane{conn: ci, next: c.lanes, period: period, view: view, base: l.cycle, asleep: c.asleep()}
	c.lanes = li
	if period != 0 {
		l.wheelAdd(li, uint8(li%phases))
	}
	return li
}

// join subscribes a lane to a row; the image follows with the lane's next flush.
// The caller knows that the conn has no sub of the row yet.
func (l *loop) join(li, id uint32) {
	ln := &l.lanes[li]
	ln.subs = l.words.grow(ln.subs, int(ln.n), int(ln.n)+1)
	l.words.get(ln.subs)[ln.n] = id | isNew
	ln.n++
	ln.sig |= 1 << (id % 64)
	c, r := &l.conns[ln.conn], &l.board.rows[id]
	c.subs++
	c.hash ^= r.hash
	l.subs++
	if ln.period == 0 {
		l.rawSubs++
		r.subscribers = l.words.grow(r.subscribers, int(r.nsubs), int(r.nsubs)+1)
		l.words.get(r.subscribers)[r.nsubs] = li
		r.nsubs++
	}
	ln.scan = true
	l.rouse(ln.conn)
}

// leave ends the sub at index i of a lane. The lane's entry in the row's list of
// subscribers stays behind, dead, until the row changes next, or half the list is.
func (l *loop) leave(li, i uint32) {
	ln := &l.lanes[li]
	subs := l.words.get(ln.subs)
	id := subs[i] &^ isNew
	ln.n--
	subs[i] = subs[ln.n]
	if ln.hit != 0 {
		ln.hit, ln.scan = 0, true // among the hits may be the row that leaves
	}
	if ln.cursor != 0 {
		ln.cursor = 0 // the entry that moved must not be missed: the scan begins anew
	}
	c, r := &l.conns[ln.conn], &l.board.rows[id]
	c.subs--
	c.hash ^= r.hash
	l.subs--
	if ln.period == 0 {
		l.rawSubs--
		r.dead++
		if r.dead > 16 && r.dead > r.nsubs/2 {
			l.sweepSubscribers(id)
		}
	}
}

// sweepSubscribers keeps the entries that a live sub stands behind, each once.
func (l *loop) sweepSubscribers(id uint32) {
	r := &l.board.rows[id]
	list := l.words.get(r.subscribers)[:r.nsubs]
	clear(l.swept)
	kept := list[:0]
	for _, li := range list {
		if _, again := l.swept[li]; again || l.lanes[li].period != 0 || l.find(li, id) < 0 {
			continue
		}
		l.swept[li] = struct{}{}
		kept = append(kept, li)
	}
	r.nsubs, r.dead = uint32(len(kept)), 0
}

// find returns the index of a row among a lane's subs, or -1.
func (l *loop) find(li, id uint32) int {
	ln := &l.lanes[li]
	if ln.sig&(1<<(id%64)) == 0 {
		return -1
	}
	for i, entry := range l.words.get(ln.subs)[:ln.n] {
		if entry&^isNew == id {
			return i
		}
	}
	return -1
}

// locate returns the conn's lane and index of a row, or false.
func (l *loop) locate(ci, id uint32) (li uint32, i int, ok bool) {
	for li = l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
		if i = l.find(li, id); i >= 0 {
			return li, i, true
		}
	}
	return 0, 0, false
}

// dropLanes ends all subs of a conn and frees its lanes.
func (l *loop) dropLanes(ci uint32) {
	c := &l.conns[ci]
	for li := c.lanes; li != 0; {
		ln := &l.lanes[li]
		for ln.n > 0 {
			l.leave(li, ln.n-1)
		}
		next := ln.next
		l.dropLane(li)
		li = next
	}
	c.lanes = 0
}

// dropLane gives back a lane that has no subs and is off its conn's list.
func (l *loop) dropLane(li uint32) {
	ln := &l.lanes[li]
	if ln.period != 0 {
		l.wheelRemove(li)
	}
	l.words.release(ln.subs)
	*ln = lane{next: l.freeLane}
	l.freeLane = li
}

func (l *loop) wheelAdd(li uint32, phase uint8) {
	ln := &l.lanes[li]
	list := &l.wheel.lanes[ln.period][phase]
	if len(*list) == 0 {
		// Phases stand at fixed moments of the period, so that lanes that join
		// later fall in step with those before.
		period := periods[ln.period]
		offset := period / phases * time.Duration(phase)
		l.wheel.next[ln.period][phase] = (l.clock-offset+period)/period*period + offset
	}
	ln.phase, ln.slot = phase, uint32(len(*list))
	*list = append(*list, li)
}

func (l *loop) wheelRemove(li uint32) {
	ln := &l.lanes[li]
	list := &l.wheel.lanes[ln.period][ln.phase]
	last := (*list)[len(*list)-1]
	(*list)[ln.slot] = last
	l.lanes[last].slot = ln.slot
	*list = (*list)[:len(*list)-1]
}

// turn makes every rated lane due whose moment has come.
func (l *loop) turn() {
	for p := 1; p < len(periods); p++ {
		for phase := range phases {
			list, next := l.wheel.lanes[p][phase], &l.wheel.next[p][phase]
			if len(list) == 0 || *next > l.clock {
				continue
			}
			*next += periods[p] * (1 + (l.clock-*next)/periods[p])
			for _, li := range list {
				if ln := &l.lanes[li]; !ln.asleep {
					ln.scan = true
					l.rouse(ln.conn)
				}
			}
		}
	}
}

// nextTurn is when the wheel is due, at most in max.
func (l *loop) nextTurn(most time.Duration) time.Duration {
	for p := 1; p < len(periods); p++ {
		for phase := range phases {
			if len(l.wheel.lanes[p][phase]) > 0 {
				most = min(most, max(0, l.wheel.next[p][phase]-l.clock))
			}
		}
	}
	return most
}

// signature is the union of the rows' signature bits.
func signature(ids []uint32) (sig uint64) {
	for _, id := range ids {
		sig |= 1 << (id % 64)
	}
	return sig
}

// eachSub calls visit with every lane and row the conn subscribes to.
func (l *loop) eachSub(ci uint32, visit func(li, id uint32)) {
	for li := l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
		for _, entry := range l.words.get(l.lanes[li].subs)[:l.lanes[li].n] {
			visit(li, entry&^isNew)
		}
	}
}
