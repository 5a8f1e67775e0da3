package fanout

import "github.com/tickwire/tickwire/codec"

// lane is the subs of one conn that share a rate and a view, and so one base.
// Most conns have one. Lanes live in a slab of the loop, without pointers.
//
//	          change of a row            flush
//	settled ------------------> hit ------------------> settled
//	   |   sub added, conn woken, wheel                    ^
//	   +---------------------------> scan -----------------+
//
// Settled: nothing changed after base. Hit: what changed is listed in hits. Scan:
// the subs themselves must be looked through, when the conn has its turn. A lane whose
// conn is blocked or paused is asleep: nobody visits it, and it wakes to a scan.
type lane struct {
	conn uint32
	next uint32 // next lane of the conn, or next free lane
	subs uint32 // slab handle
	n    uint32 // subs in it
	sig  uint64 // bit id%64 of every row ever subscribed: a cheap "surely not"

	base      uint64 // what changed in later cycles is still to be sent
	scanBegan uint64 // cycle in which the scan under way did: the next base
	cursor    uint32 // subs the scan under way is done with

	hit    uint32     // head in loop.hits; 0 none
	view   codec.Mask // what the subs asked for, with the scales it needs
	slot   uint32     // place in its list of the wheel
	period uint8      // index into periods; 0 raw
	phase  uint8
	scan   bool
	asleep bool
}

// sub is one row that a lane subscribes to, with its marks.
type sub uint32

const (
	isNew   sub = 1 << 31 // the sub waits for its image
	isNamed sub = 1 << 30 // the client holds the symbol's own name, besides patterns
)

func (s sub) id() uint32  { return uint32(s &^ (isNew | isNamed)) }
func (s sub) named() bool { return s&isNamed != 0 }

// subAt is the sub that a note tells of.
func (l *loop) subAt(n *note) *sub { return &l.subs.get(l.lanes[n.lane].subs)[n.at] }

// hit is one changed row in the list of a lane.
type hit struct{ row, next uint32 }

const tooManyTerms = "too many different rates and fields on one connection"

// laneFor returns the conn's lane of that period and view, made if need be; 0 when it
// has too many others. Those without subs may be gone.
func (l *loop) laneFor(ci uint32, period uint8, view codec.Mask) uint32 {
	n := 0
	for li := l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
		if l.lanes[li].period == period && l.lanes[li].view == view {
			return li
		}
		n++
	}
	if n >= lanesMax && l.prune(ci) >= lanesMax {
		return 0
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
func (l *loop) join(li, id uint32, named bool) {
	ln := &l.lanes[li]
	c, r := &l.conns[ln.conn], &l.board.rows[id]
	c.subs++
	c.hash ^= r.hash
	l.nsubs++
	if ln.period == 0 {
		r.subscribers.add(&l.subscribers, li, uint32(len(l.lanes)))
		l.rawSubs++
	}
	ln.subs = l.subs.grow(ln.subs, int(ln.n), int(ln.n)+1)
	s := sub(id) | isNew
	if named {
		s |= isNamed
	}
	l.subs.get(ln.subs)[ln.n] = s
	ln.n++
	ln.sig |= 1 << (id % 64)
	ln.scan = true
	l.schedule(ln.conn)
	n := l.note(id)
	n.lane, n.at = li, ln.n-1
}

// leave ends the sub at index i of a lane, where the last takes its place.
func (l *loop) leave(li, i uint32) {
	ln := &l.lanes[li]
	subs := l.subs.get(ln.subs)
	id := subs[i].id()
	c, r := &l.conns[ln.conn], &l.board.rows[id]
	c.subs--
	c.hash ^= r.hash
	l.nsubs--
	if ln.period == 0 {
		l.rawSubs--
		r.subscribers.remove(&l.subscribers, li)
	}
	l.note(id).lane = 0
	if ln.n--; i != ln.n {
		subs[i] = subs[ln.n]
		l.note(subs[i].id()).at = i
	}
	if ln.hit != 0 {
		ln.hit, ln.scan = 0, true // among the hits may be the row that leaves
	}
	if ln.cursor != 0 {
		ln.cursor = 0 // the sub that moved must not be missed: the scan begins anew
	}
}

// dropLanes ends all subs of a conn, its patterns too, and frees its lanes.
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
	delete(l.patterns, ci)
}

// dropLane gives back a lane that has no subs and is off its conn's list.
func (l *loop) dropLane(li uint32) {
	ln := &l.lanes[li]
	if ln.period != 0 {
		l.wheelRemove(li)
	}
	l.subs.release(ln.subs)
	*ln = lane{next: l.freeLane}
	l.freeLane = li
}

// prune frees the lanes of a conn that have no subs left and counts the others.
func (l *loop) prune(ci uint32) (n int) {
	for at := &l.conns[ci].lanes; *at != 0; {
		li := *at
		ln := &l.lanes[li]
		if ln.n > 0 {
			at = &ln.next
			n++
			continue
		}
		*at = ln.next
		l.dropLane(li)
	}
	return n
}
