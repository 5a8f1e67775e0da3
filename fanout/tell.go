package fanout

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// sendLag tells a conn that its socket took nothing, or that it answered no ping, for so
// long; what follows is merged. It reports whether the socket took that.
func (l *loop) sendLag(ci uint32, blocked time.Duration) bool {
	return l.tell(ci, &codec.Lag{BlockedMS: blocked.Milliseconds()})
}

// tell sends a conn a message other than data.
func (l *loop) tell(ci uint32, m codec.Control) bool {
	l.events.told.WithLabelValues(m.Type().String()).Inc()
	l.control = l.appendControl(l.control[:0], l.conns[ci].json, m)
	return l.write(ci, l.control)
}

// appendControl appends the frame of such a message.
func (l *loop) appendControl(dst []byte, json bool, m codec.Control) []byte {
	op, appendControl := ws.OpBinary, codec.AppendControl
	if json {
		op, appendControl = ws.OpText, codec.AppendControlJSON
	}
	l.payload = appendControl(l.payload[:0], m)
	return appendFrame(dst, op, l.payload)
}
