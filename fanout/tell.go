package fanout

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

func (l *loop) sendHeartbeat(ci uint32) {
	c := &l.conns[ci]
	l.count[heartbeats]++
	tell(l, ci, &codec.Heartbeat{Time: l.sentAt, Subs: int(c.subs), Hash: c.hash}, codec.AppendHeartbeat, codec.AppendHeartbeatJSON)
}

// sendLag tells a conn that its socket took nothing for so long; what follows is
// merged. It reports whether the socket took that.
func (l *loop) sendLag(ci uint32, blocked time.Duration) bool {
	l.count[lags]++
	return tell(l, ci, &codec.Lag{BlockedMS: blocked.Milliseconds()}, codec.AppendLag, codec.AppendLagJSON)
}

// tell sends a conn a message other than data, in its own encoding.
func tell[T any](l *loop, ci uint32, x *T, msgpack, json func([]byte, *T) []byte) bool {
	l.control = appendTold(l, l.control[:0], l.conns[ci].json, x, msgpack, json)
	return l.write(ci, l.control)
}

// appendTold appends its frame.
func appendTold[T any](l *loop, dst []byte, asJSON bool, x *T, msgpack, json func([]byte, *T) []byte) []byte {
	op, appendX := ws.OpBinary, msgpack
	if asJSON {
		op, appendX = ws.OpText, json
	}
	l.payload = appendX(l.payload[:0], x)
	return appendFrame(dst, op, l.payload)
}
