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
	id     int64
	prefix string
	period uint8
	view   codec.Mask
}

func (l *loop) subscribePattern(ci, li uint32, p pattern) {
	held := l.patterns[ci]
	held = slices.DeleteFunc(held, func(q pattern) bool { return q.prefix == p.prefix })
	symbol := []byte(p.prefix + "*")
	if len(held) >= patternsMax {
		l.failed(symbol, codec.CodeTooManySubs, fmt.Sprintf("at most %d patterns on one connection", patternsMax))
		return
	}
	l.patterns[ci] = append(held, p)
	matched := new(int)
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: string(symbol), Matched: matched})
	for id, name := range l.board.names[:len(l.board.rows)] {
		if strings.HasPrefix(name, p.prefix) {
			l.subscribeRow(ci, li, []byte(name), uint32(id), &codec.Request{})
			*matched++
		}
	}
}

// matchPatterns subscribes the conns that hold a pattern to the new rows it names.
func (l *loop) matchPatterns(first int) {
	for ci, held := range l.patterns {
		for _, p := range held {
			l.reply = codec.Reply{ID: p.id, Op: codec.OpSubscribe, Rate: effective(p.period), Fields: narrowed(p.view), Results: l.reply.Results[:0]}
			l.markMine(ci)
			li := l.laneFor(ci, p.period, p.view)
			for id := first; id < len(l.board.rows); id++ {
				name := l.board.names[id]
				if strings.HasPrefix(name, p.prefix) {
					l.subscribeRow(ci, li, []byte(name), uint32(id), &codec.Request{})
				}
			}
			if len(l.reply.Results) > 0 {
				l.answer(ci)
			}
			if l.conns[ci].state != stateOpen {
				break
			}
			l.prune(ci)
		}
	}
}

func (l *loop) unsubscribePattern(ci uint32, symbol []byte) {
	prefix := string(symbol[:len(symbol)-1])
	held := l.patterns[ci]
	rest := slices.DeleteFunc(held, func(p pattern) bool { return p.prefix == prefix })
	if len(rest) == len(held) {
		l.failed(symbol, codec.CodeNotSubscribed, "no such pattern")
		return
	}
	if l.patterns[ci] = rest; len(rest) == 0 {
		delete(l.patterns, ci)
	}
	matched := 0
	for li := l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
		for i := l.lanes[li].n; i > 0; i-- {
			id := l.words.get(l.lanes[li].subs)[i-1] &^ isNew
			if strings.HasPrefix(l.board.names[id], prefix) {
				l.leave(li, i-1)
				matched++
			}
		}
	}
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: string(symbol), Matched: &matched})
}
