package fanout

import (
	"slices"
	"sync"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/epoll"
	"github.com/tickwire/tickwire/fanout/token"
)

// subjects are the conns of every subject, for all loops.
type subjects struct {
	mu sync.Mutex // protects of
	of map[string][]subjectConn
}

// subjectConn is a conn of a subject; the oldest goes first.
type subjectConn struct {
	loop *loop
	conn epoll.Key
}

// enter gives a conn its claims; one that is there already may get others. False when its
// subject has as many as it may, and none is to go.
func (s *subjects) enter(l *loop, ci uint32, claims *token.Claims) bool {
	if claims.Subject != "" && !s.count(subjectConn{l, epoll.Key{Index: ci, Gen: l.conns[ci].gen}}, claims) {
		return false
	}
	l.passes[ci].claims = claims
	return true
}

func (s *subjects) count(own subjectConn, claims *token.Claims) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := s.of[claims.Subject]
	others := len(conns)
	if slices.Contains(conns, own) {
		others--
	}
	for _, old := range conns {
		if most := claims.Grant.Conns; most == 0 || others < most {
			break
		}
		if !claims.Grant.Newest {
			return false
		}
		if old != own {
			others--
			old.loop.mailbox.send(func(l *loop) {
				if l.conns[old.conn.Index].gen == old.conn.Gen {
					l.bye(old.conn.Index, codec.CloseReplaced, "a newer connection took its place")
				}
			})
		}
	}
	if s.of == nil {
		s.of = make(map[string][]subjectConn)
	}
	if !slices.Contains(conns, own) {
		s.of[claims.Subject] = append(conns, own)
	}
	return true
}

// leave takes a conn out.
func (s *subjects) leave(l *loop, ci uint32) {
	claims := l.passes[ci].claims
	if claims == nil || claims.Subject == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	own := subjectConn{l, epoll.Key{Index: ci, Gen: l.conns[ci].gen}}
	conns := slices.DeleteFunc(s.of[claims.Subject], func(c subjectConn) bool { return c == own })
	if s.of[claims.Subject] = conns; len(conns) == 0 {
		delete(s.of, claims.Subject)
	}
}
