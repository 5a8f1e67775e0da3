package fanout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tickwire/tickwire/codec"
)

// pattern is a subscription to all symbols with a prefix, those that appear later
// included; its request's id is how the client knows what they belong to.
type pattern struct {
	id      int64
	prefix  string
	period  uint8
	view    codec.Mask
	matched int  // rows it took
	full    bool // the conn could hold no more, which was told: it takes no new rows
}

func (p *pattern) takes(symbol string) bool { return strings.HasPrefix(symbol, p.prefix) }

// patternAt is where a conn's pattern with a prefix stands, -1 if nowhere.
func (l *loop) patternAt(ci uint32, prefix string) int {
	return slices.IndexFunc(l.patterns[ci], func(p pattern) bool { return p.prefix == prefix })
}

// patternTakes reports whether a pattern that a conn holds takes a row.
func (l *loop) patternTakes(ci, id uint32) bool {
	return slices.ContainsFunc(l.patterns[ci], func(p pattern) bool { return p.takes(l.board.names[id]) })
}

// subscribePattern subscribes a conn to a pattern whole or not at all: nothing of
// what it holds is touched before nothing can fail any more.
func (l *loop) subscribePattern(ci, li uint32, p pattern) {
	c, symbol := &l.conns[ci], p.prefix+"*"
	at := l.patternAt(ci, p.prefix)
	if at < 0 && len(l.patterns[ci]) == patternsMax {
		l.failed(symbol, codec.CodeTooManySubs, fmt.Sprintf("at most %d patterns on one connection", patternsMax))
		return
	}
	l.matched = l.matched[:0]
	total := int(c.subs)
	for id, name := range l.board.names {
		if !p.takes(name) {
			continue
		}
		n := l.note(uint32(id))
		if n.ahead {
			l.failed(symbol, codec.CodeUnavailable, "this node is behind what you hold of "+name)
			return
		}
		if n.lane == 0 {
			total++
		}
		l.matched = append(l.matched, uint32(id))
	}
	if most := l.subsMost(ci); total > most {
		l.failed(symbol, codec.CodeTooManySubs, fmt.Sprintf("it would make %d; at most %d on one connection", total, most))
		return
	}
	if at >= 0 {
		l.dropPattern(ci, at)
	}
	p.matched = len(l.matched)
	l.patterns[ci] = append(l.patterns[ci], p)
	c.seen = uint32(len(l.board.rows))
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: symbol, Matched: &p.matched})
	for _, id := range l.matched {
		// Patterns that overlap would else make an answer of many boards.
		if !l.note(id).inReply {
			l.subscribeRow(ci, li, id, false)
		}
	}
}

// matchPatterns subscribes a conn to the rows that appeared since its patterns were
// last matched, on the terms of the newest that takes them. The conn has no sub of
// them yet, for it makes no request before this.
func (l *loop) matchPatterns(ci uint32) {
	c, held, rows := &l.conns[ci], l.patterns[ci], uint32(len(l.board.rows))
	if len(held) == 0 || c.seen == rows {
		return
	}
	l.noting++
	for i := len(held) - 1; i >= 0; i-- {
		p, li := &held[i], uint32(0)
		l.reply = codec.Reply{ID: p.id, Op: codec.OpSubscribe, Rate: rateOf(p.period), Fields: narrowed(p.view), Results: l.reply.Results[:0]}
		for id := c.seen; id < rows && !p.full; id++ {
			if !p.takes(l.board.names[id]) {
				continue
			}
			if l.note(id).inReply {
				p.matched++
				continue
			}
			if li == 0 {
				li = l.laneFor(ci, p.period, p.view)
			}
			if p.full = li == 0 || int(c.subs) >= l.subsMost(ci); p.full {
				l.failed(p.prefix+"*", codec.CodeTooManySubs, "it takes no more new symbols until it is subscribed to again")
				break
			}
			p.matched++
			l.subscribeRow(ci, li, id, false)
		}
		if len(l.reply.Results) > 0 {
			l.sendReply(ci)
		}
	}
	c.seen = rows
	l.prune(ci)
}

func (l *loop) unsubscribePattern(ci uint32, symbol string) {
	at := l.patternAt(ci, strings.TrimSuffix(symbol, "*"))
	if at < 0 {
		l.failed(symbol, codec.CodeNotSubscribed, "this pattern is not held")
		return
	}
	p := l.patterns[ci][at]
	l.dropPattern(ci, at)
	for li := l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
		for i := l.lanes[li].n; i > 0; i-- {
			s := l.subs.get(l.lanes[li].subs)[i-1]
			if p.takes(l.board.names[s.id()]) && !s.named() && !l.patternTakes(ci, s.id()) {
				l.leave(li, i-1)
			}
		}
	}
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: symbol, Matched: &p.matched})
}

func (l *loop) dropPattern(ci uint32, at int) {
	if l.patterns[ci] = slices.Delete(l.patterns[ci], at, at+1); len(l.patterns[ci]) == 0 {
		delete(l.patterns, ci)
	}
}
