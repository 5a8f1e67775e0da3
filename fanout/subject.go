package fanout

import (
	"slices"
	"sync"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/fanout/epoll"
	"github.com/tickwire/tickwire/fanout/token"
)

// closeReplaced is our own code for a conn that made room for a newer one of its subject.
// It is final: the two would replace each other without end.
const closeReplaced ws.StatusCode = 4003

// subjects are the conns of the subjects whose number of conns is bounded, for all loops.
type subjects struct {
	mu sync.Mutex // protects of
	of map[string][]subjectConn
}

// subjectConn is a conn of a subject; the oldest goes first.
type subjectConn struct {
	loop *loop
	conn epoll.Key
}

// enter takes a conn in by its claims; false when its subject has as many as it may, and
// none is to go.
func (s *subjects) enter(l *loop, ci uint32, claims *token.Claims) bool {
	l.passes[ci].claims = claims
	most := claims.Grant.Conns
	if most == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := s.of[claims.Subject]
	if len(conns) >= most && !claims.Grant.Newest {
		return false
	}
	for ; len(conns) >= most; conns = conns[1:] {
		old := conns[0]
		old.loop.mailbox.send(func(l *loop) {
			if l.conns[old.conn.Index].gen == old.conn.Gen {
				l.bye(old.conn.Index, closeReplaced, "a newer connection took its place")
			}
		})
	}
	if s.of == nil {
		s.of = make(map[string][]subjectConn)
	}
	s.of[claims.Subject] = append(slices.Clip(conns), subjectConn{l, epoll.Key{Index: ci, Gen: l.conns[ci].gen}})
	l.passes[ci].subject = claims.Subject
	return true
}

// leave takes a conn out.
func (s *subjects) leave(l *loop, ci uint32) {
	subject := l.passes[ci].subject
	if subject == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := subjectConn{l, epoll.Key{Index: ci, Gen: l.conns[ci].gen}}
	conns := slices.DeleteFunc(s.of[subject], func(c subjectConn) bool { return c == gone })
	if s.of[subject] = conns; len(conns) == 0 {
		delete(s.of, subject)
	}
}
