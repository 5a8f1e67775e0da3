package fanout

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

// revoked is the tokens that are taken no more, as the tape has them.
type revoked struct {
	known atomic.Bool // once, to their end

	mu       sync.RWMutex         // protects what follows
	ids      map[string]time.Time // by jti: when it was revoked
	subjects map[string]time.Time // by sub: all tokens issued up to then
	forgot   time.Time            // when what is old was last dropped
}

// RevokedFor is how long the tape keeps a revocation, and a node: some 150 bytes each. There
// are as many as those give who may write to Redis.
const RevokedFor = 7 * 24 * time.Hour

// revocation is one of the tape: of a jti, or of a sub.
type revocation struct {
	at           time.Time
	jti, subject string
}

// add takes revocations, and reports how many were not known.
func (r *revoked) add(list []revocation, now time.Time) (added int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids, r.subjects = make(map[string]time.Time), make(map[string]time.Time)
	}
	if now.Sub(r.forgot) > time.Hour {
		r.forgot = now
		r.forget(now)
	}
	for _, v := range list {
		of, name := r.ids, v.jti
		if v.jti == "" {
			of, name = r.subjects, v.subject
		}
		if name == "" || !v.at.After(of[name]) {
			continue
		}
		of[name] = v.at
		added++
	}
	return added
}

// forget drops what the tape has forgotten, too.
func (r *revoked) forget(now time.Time) {
	for _, of := range [...]map[string]time.Time{r.ids, r.subjects} {
		for name, at := range of {
			if now.Sub(at) > RevokedFor {
				delete(of, name)
			}
		}
	}
}

// check refuses a token that was revoked, and every one before that is known.
func (r *revoked) check(c *token.Claims) error {
	switch {
	case !r.known.Load():
		return errUnread
	case r.has(c):
		return errRevoked
	}
	return nil
}

// has reports whether a token was revoked.
func (r *revoked) has(c *token.Claims) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ok := r.ids[c.ID]; ok && c.ID != "" {
		return true
	}
	at, ok := r.subjects[c.Subject]
	return ok && c.Subject != "" && (c.IssuedAt == nil || !c.IssuedAt.After(at))
}

// revoke ends the conns whose token was revoked.
func (l *loop) revoke() {
	for ci := range l.conns {
		if c := l.passes[ci].claims; c != nil && l.conns[ci].state == stateOpen && l.auth.revoked.has(c) {
			l.bye(uint32(ci), codec.CloseRevoked, "the token was revoked")
		}
	}
}
