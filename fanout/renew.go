package fanout

import (
	"fmt"
	"slices"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

// renew takes a new token in place of the one that a conn came with.
func (l *loop) renew(ci uint32, r *codec.Request) {
	if l.auth == nil {
		l.fail(ci, r.ID, codec.CodeTokenRefused, "this node takes no tokens")
		return
	}
	id := r.ID
	if l.conns[ci].verifying { // what is known already would overtake it
		l.fail(ci, id, codec.CodeUnavailable, "another token of this connection is being verified; try again")
		return
	}
	if claims, err, known := l.auth.known(r.Token); known {
		l.renewed(ci, id, claims, err)
		return
	}
	if !l.ask(ci, r.Token, func(l *loop, ci uint32, claims *token.Claims, err error) { l.renewed(ci, id, claims, err) }) {
		l.renewed(ci, id, nil, errNotAsked)
	}
}

// renewed holds what a conn has against its new token, and answers.
func (l *loop) renewed(ci uint32, id int64, claims *token.Claims, err error) {
	if l.conns[ci].state != stateOpen {
		return
	}
	pass := &l.passes[ci]
	switch e, _ := err.(*token.Error); {
	case e != nil && e.Retry():
		l.fail(ci, id, codec.CodeUnavailable, e.Error())
		return
	case err != nil:
		l.fail(ci, id, codec.CodeTokenRefused, err.Error())
		return
	case claims.Subject != pass.claims.Subject:
		l.fail(ci, id, codec.CodeTokenRefused, "it is of another sub: connect anew")
		return
	case l.auth.revoked.has(claims): // since it was verified
		l.fail(ci, id, codec.CodeTokenRefused, errRevoked.Error())
		return
	case !l.auth.subjects.enter(l, ci, claims):
		l.fail(ci, id, codec.CodeTokenRefused, "its sub has all the connections that it allows")
		return
	}
	price := int(l.conns[ci].subs / costRenewed)
	l.reply = codec.Reply{ID: id, Op: codec.OpAuth, TokenTTL: l.tokenTTL(ci), Results: l.reply.Results[:0]}
	l.noteSubs(ci)
	l.endPatterns(ci)
	l.endSubs(ci)
	l.slowDown(ci)
	l.sendReply(ci)
	l.conns[ci].budget -= int32(price + len(l.reply.Results)/costResults)
	l.reply.Results = l.reply.Results[:0] // they are paid for, as in request
	l.prune(ci)
}

// endPatterns ends the patterns that a conn's token does not cover.
func (l *loop) endPatterns(ci uint32) {
	for at := len(l.patterns[ci]) - 1; at >= 0; at-- {
		if name := l.patterns[ci][at].prefix + "*"; !l.allows(ci, []byte(name)) {
			l.dropPattern(ci, at)
			l.failed(name, codec.CodeNotAllowed, notCovered)
		}
	}
}

// endSubs ends the subs that a conn's token does not cover, and those that no name takes any
// more; then, of those that are left, the last of too many.
func (l *loop) endSubs(ci uint32) {
	l.endThose(ci, codec.CodeNotAllowed, notCovered, func(s sub) bool {
		return !l.allows(ci, []byte(l.board.names[s.id()])) || !s.named() && !l.patternTakes(ci, s.id())
	})
	most := l.subsMost(ci)
	l.endThose(ci, codec.CodeTooManySubs, fmt.Sprintf("at most %d on one connection", most), func(sub) bool {
		return int(l.conns[ci].subs) > most
	})
}

// endThose ends the subs of a conn that something is true of, and says why.
func (l *loop) endThose(ci uint32, code codec.Code, why string, is func(sub) bool) {
	for li := l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
		for i := l.lanes[li].n; i > 0; i-- {
			if s := l.subs.get(l.lanes[li].subs)[i-1]; is(s) {
				l.failed(l.board.names[s.id()], code, why)
				l.leave(li, i-1)
			}
		}
	}
}

// slowDown moves the subs of lanes that are faster than a conn's token allows; images
// follow.
func (l *loop) slowDown(ci uint32) {
	least := l.periodLeast(ci)
	for at := range l.patterns[ci] {
		p := &l.patterns[ci][at]
		p.period = max(p.period, least)
	}
	l.prune(ci)
	for li, next := l.conns[ci].lanes, uint32(0); li != 0; li = next {
		if next = l.lanes[li].next; l.lanes[li].period >= least {
			continue
		}
		view := l.lanes[li].view
		moved := slices.Clone(l.subs.get(l.lanes[li].subs)[:l.lanes[li].n])
		for l.lanes[li].n > 0 {
			l.leave(li, l.lanes[li].n-1)
		}
		to := l.laneFor(ci, least, view) // there is room for it: that one is empty
		for _, s := range moved {
			l.join(to, s.id(), s.named())
			l.resultOf(s.id(), &l.lanes[to])
		}
	}
}
