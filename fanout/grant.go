package fanout

import (
	"time"
)

const notCovered = "the token does not cover it"

// allows reports whether a conn may have a symbol, or a pattern whole.
func (l *loop) allows(ci uint32, name []byte) bool {
	claims := l.passes[ci].claims
	return claims == nil || claims.Grant.Allows(name)
}

// subsMost is how many subs a conn may hold.
func (l *loop) subsMost(ci uint32) int {
	if claims := l.passes[ci].claims; claims != nil && claims.Grant.Subs > 0 {
		return min(l.cfg.MaxSubs, claims.Grant.Subs)
	}
	return l.cfg.MaxSubs
}

// periodLeast is the shortest period that a conn may have.
func (l *loop) periodLeast(ci uint32) uint8 {
	claims := l.passes[ci].claims
	if claims == nil || claims.Grant.Rate == 0 {
		return 0
	}
	if period, ok := periodOf(claims.Grant.Rate); ok {
		return period
	}
	return uint8(len(periods) - 1)
}

// tokenTTL is for how many seconds a conn's token is good; nil without one.
func (l *loop) tokenTTL(ci uint32) *int64 {
	claims := l.passes[ci].claims
	if claims == nil {
		return nil
	}
	left := int64(max(0, claims.ExpiresAt.Sub(l.wall())) / time.Second)
	return &left
}

// wall is the time of day.
func (l *loop) wall() time.Time { return time.UnixMicro(l.sentAt) }
