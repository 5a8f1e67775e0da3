package fanout

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/epoll"
	"github.com/tickwire/tickwire/fanout/token"
)

// subjects are the conns of every subject, for all loops.
type subjects struct {
	mu   sync.Mutex // protects what follows
	of   map[string]map[subjectConn]int64
	came int64 // conns so far; what of has is a conn's number among them
}

// subjectConn is a conn of a subject.
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
	if _, ok := conns[own]; ok {
		others--
	}
	if most := claims.Grant.Conns; most > 0 && others >= most {
		if !claims.Grant.Newest {
			return false
		}
		s.end(own, conns, others-most+1)
	}
	if conns == nil {
		conns = make(map[subjectConn]int64)
		if s.of == nil {
			s.of = make(map[string]map[subjectConn]int64)
		}
		s.of[claims.Subject] = conns
	}
	if _, ok := conns[own]; !ok {
		s.came++
		conns[own] = s.came
	}
	return true
}

// end ends so many of a subject's conns, the oldest first, but not the one that takes
// their place. They leave when they are gone.
func (s *subjects) end(own subjectConn, conns map[subjectConn]int64, n int) {
	oldest := slices.SortedFunc(maps.Keys(conns), func(a, b subjectConn) int { return cmp.Compare(conns[a], conns[b]) })
	for _, old := range slices.DeleteFunc(oldest, func(c subjectConn) bool { return c == own })[:n] {
		old.loop.mailbox.send(func(l *loop) {
			if l.conns[old.conn.Index].gen == old.conn.Gen {
				l.bye(old.conn.Index, codec.CloseReplaced, "a newer connection took its place")
			}
		})
	}
}

// leave takes a conn out.
func (s *subjects) leave(l *loop, ci uint32) {
	claims := l.passes[ci].claims
	if claims == nil || claims.Subject == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := s.of[claims.Subject]
	delete(conns, subjectConn{l, epoll.Key{Index: ci, Gen: l.conns[ci].gen}})
	if len(conns) == 0 {
		delete(s.of, claims.Subject)
	}
}
