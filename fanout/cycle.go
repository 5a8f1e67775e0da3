package fanout

import (
	"time"

	"github.com/tickwire/tickwire/codec"
)

// due finds the conns to flush in this cycle.
func (l *loop) due() {
	l.advance()
	l.mark(l.board.changed)
	l.takeTurns() // of those too that have been marked just now
}

// mark notes in the lanes that rows of theirs have changed, by the cheaper of two ways.
// When few rows changed, their lists of subscribers name the lanes, and what to look
// at in each. When many did, every lane is scanned: its subs lie in a row, while
// the lists would touch lanes at random, and each lane many times.
func (l *loop) mark(changed []uint32) {
	if len(changed) == 0 {
		return
	}
	var reach uint64 // entries the lists would visit
	for _, id := range changed {
		reach += uint64(l.board.rows[id].subscribers.n)
	}
	if reach*scanAdvantage > uint64(l.rawSubs)+uint64(len(l.lanes)) {
		l.markByScan(signature(changed))
	} else {
		l.markByList(changed)
	}
}

// scanAdvantage is how many entries a scan passes in the time that a list takes
// to visit one. Measured over whole cycles: 2 to 4 where all is in the cache (500 conns
// of 50 subs), 7 at 1,000 of 500, 15 at 10,000 of 5, 40 at 10,000 of 50.
const scanAdvantage = 8

// signature is the union of the rows' signature bits.
func signature(ids []uint32) (sig uint64) {
	for _, id := range ids {
		sig |= 1 << (id % 64)
	}
	return sig
}

func (l *loop) markByScan(dirty uint64) {
	for li := range l.lanes {
		ln := &l.lanes[li]
		if ln.conn != 0 && ln.period == 0 && !ln.asleep && !ln.scan && ln.sig&dirty != 0 {
			ln.scan = true
			l.schedule(ln.conn)
		}
	}
}

func (l *loop) markByList(changed []uint32) {
	for _, id := range changed {
		for li := range l.board.rows[id].subscribers.all(&l.subscribers) {
			ln := &l.lanes[li]
			if ln.asleep || ln.scan {
				continue
			}
			if ln.hit == 0 {
				if l.schedule(ln.conn); ln.scan {
					continue // it waits
				}
			}
			l.hits = append(l.hits, hit{row: id, next: ln.hit})
			ln.hit = uint32(len(l.hits) - 1)
		}
	}
}

// schedule puts a conn on the list of those to flush, or has it wait, once.
func (l *loop) schedule(ci uint32) {
	if c := &l.conns[ci]; !c.due {
		c.due = true
		if !l.hold(ci) {
			l.scheduled = append(l.scheduled, ci)
		}
	}
}

// flushAll flushes the scheduled conns, and lets accepts and reads have their turn
// between two chunks of them; conns that those schedule are appended and follow.
func (l *loop) flushAll() {
	began, sent, whole := l.clock, l.count[updatesOut], l.count[images]
	for i := 0; i < len(l.scheduled); i++ {
		if i%stampChunk == stampChunk-1 {
			l.stamp()
		}
		if i%flushChunk == flushChunk-1 {
			paused := l.clock
			l.serve()
			l.stamp()
			began += l.clock - paused
		}
		l.flush(l.scheduled[i])
	}
	l.scheduled = l.scheduled[:0]
	l.stamp()
	l.flushed = l.clock - began
	// Of images a longer pause has no fewer.
	if sent, whole = l.count[updatesOut]-sent, l.count[images]-whole; whole > 0 {
		l.flushed = l.flushed * time.Duration(sent-min(sent, whole)) / time.Duration(max(sent, 1))
	}
}

// flush sends a conn what its lanes have due, in one write as long as it fits a
// message.
func (l *loop) flush(ci uint32) {
	c := &l.conns[ci]
	c.due = false
	if c.state != stateOpen || c.asleep() {
		return
	}
	l.frame.begin(c.json)
	for li := c.lanes; li != 0; li = l.lanes[li].next {
		ln := &l.lanes[li]
		if ln.scan {
			l.scan(ci, ln)
		} else if ln.hit != 0 {
			l.collect(ci, ln)
		}
		if c.asleep() || c.state != stateOpen {
			return
		}
	}
	if l.frame.n > 0 && !l.sendFrame(ci) {
		return
	}
	c.slow = false
}

// sendFrame sends the message gathered, and reports whether another may follow.
func (l *loop) sendFrame(ci uint32) bool {
	c := &l.conns[ci]
	l.heat(c, l.frame.n+l.frame.merged)
	l.count[messages]++
	l.count[updatesOut] += uint64(l.frame.n)
	out := l.frame.seal(l.sentAt)
	if !c.pingDue(len(out)) {
		return l.write(ci, out) && l.credit(ci)
	}
	return l.writePing(ci, out)
}

// collect puts the rows that hit a settled lane into the frame.
func (l *loop) collect(ci uint32, ln *lane) {
	for h := ln.hit; h != 0; h = l.hits[h].next {
		if !l.room(ci) {
			return
		}
		l.put(ci, ln, l.hits[h].row)
	}
	ln.hit, ln.base = 0, l.cycle
}

// scan puts everything into the frame that changed after the lane's base, from
// where the last scan was interrupted. One that ends in a later cycle than it
// began takes its beginning as the base and goes round again: what changed
// meanwhile may be sent twice, never missed.
func (l *loop) scan(ci uint32, ln *lane) {
	for {
		if ln.cursor == 0 {
			ln.scanBegan = l.cycle
		}
		if !l.scanRest(ci, ln) {
			return
		}
		ln.base, ln.cursor = ln.scanBegan, 0
		if ln.scanBegan == l.cycle {
			ln.scan, ln.hit = false, 0
			return
		}
	}
}

// scanRest goes from the cursor to the end; false when the socket is full.
func (l *loop) scanRest(ci uint32, ln *lane) bool {
	subs := l.subs.get(ln.subs)[:ln.n]
	for ; ln.cursor < ln.n; ln.cursor++ {
		s := subs[ln.cursor]
		id := s.id()
		if s&isNew == 0 && l.board.cur[id] <= ln.base {
			continue
		}
		if !l.room(ci) {
			return false
		}
		if s&isNew != 0 {
			subs[ln.cursor] = s &^ isNew
			l.putImage(id, ln.view)
		} else {
			l.put(ci, ln, id)
		}
	}
	return true
}

// room makes sure that the frame can take one more update: a full one is sent.
// It reports false when the socket took less than the frame.
func (l *loop) room(ci uint32) bool {
	if len(l.frame.buf) < messageBytes {
		return true
	}
	if !l.sendFrame(ci) {
		return false
	}
	l.frame.begin(l.conns[ci].json)
	return true
}

// put adds the update of a row that changed after the lane's base.
func (l *loop) put(ci uint32, ln *lane, id uint32) {
	r := &l.board.rows[id]
	if r.renewed > ln.base {
		l.putImage(id, ln.view)
		return
	}
	mask := r.since(ln.base) & ln.view
	if mask == 0 {
		return
	}
	l.putUpdate(r, mask, r.flags(ln.base, l.conns[ci].reason(ln)))
}

// newArena forgets all that was encoded.
func (l *loop) newArena() {
	l.arena = l.arena[:0]
	l.arenas++
}

// putImage adds a row's whole quote.
func (l *loop) putImage(id uint32, view codec.Mask) {
	r := &l.board.rows[id]
	l.count[images]++
	l.putUpdate(r, r.update.Quote.Present()&view, codec.Image)
}

// putUpdate adds a row's update to the frame: the same bytes for all conns that
// need the same fields with the same flags.
func (l *loop) putUpdate(r *row, mask codec.Mask, flags codec.Flags) {
	if flags&codec.Conflated != 0 {
		l.count[conflatedRate+counter(flags&codec.ReasonMask)>>2-1]++
		l.frame.merged++
	}
	json := l.frame.json
	for i := range r.variants {
		v := &r.variants[i]
		if v.arena == l.arenas && v.mask == mask && v.flags == flags && v.json == json {
			l.frame.put(l.arena[v.off : v.off+v.len])
			return
		}
	}
	r.update.Mask, r.update.Flags = mask, flags
	if len(l.arena) > arenaBytes {
		l.newArena()
	}
	off := len(l.arena)
	if json {
		l.arena = codec.AppendUpdateJSON(l.arena, l.board.names[r.update.ID], &r.update)
	} else {
		l.arena = codec.AppendUpdate(l.arena, &r.update)
	}
	l.count[encodings]++
	r.variants[r.nextVariant%4] = variant{arena: l.arenas, mask: mask, flags: flags, json: json, off: uint32(off), len: uint32(len(l.arena) - off)}
	r.nextVariant++
	l.frame.put(l.arena[off:])
}
