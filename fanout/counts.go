package fanout

import (
	"sync/atomic"

	"github.com/gobwas/ws"
)

// counter names one of a loop's counts: everything that is sent, lost, merged or
// refused, by reason.
type counter int

const (
	cycles counter = iota
	updatesIn
	updatesOut
	messages
	encodings
	writes
	shortWrites
	chokes
	bytesOut
	bytesIn
	framesIn
	requests
	requestErrors
	heartbeats
	lags
	lappedTimes
	accepted
	upgraded
	acceptErrors
	handedOver
	refusedFull
	refusedHead
	refusedSlow
	refusedUpgrade
	refusedHTTP
	refusedHandOver
	conflatedRate // the three in the order of the wire's reasons
	conflatedSlow
	conflatedCatchUp
	closedDone // freed after the closing handshake, or for want of it
	closedPeer
	closedReset
	closedStalled
	closedDrained
	byeNormal // close frames sent, by code
	byeProtocol
	byeUTF8
	byeFlood
	byeTooBig
	byeStalled
	byeRestart
	byeOther
	numCounters
)

// countNames names each count for Prometheus: metric, and the value of the label
// that labelOf gives it.
var countNames = [numCounters]struct{ metric, value string }{
	cycles:           {"cycles", ""},
	updatesIn:        {"updates_applied", ""},
	updatesOut:       {"updates_sent", ""},
	messages:         {"messages_sent", ""},
	encodings:        {"encodings", ""},
	writes:           {"writes", ""},
	shortWrites:      {"short_writes", ""},
	chokes:           {"chokes", ""},
	bytesOut:         {"sent_bytes", ""},
	bytesIn:          {"received_bytes", ""},
	framesIn:         {"frames_received", ""},
	requests:         {"requests", ""},
	requestErrors:    {"request_errors", ""},
	heartbeats:       {"heartbeats_sent", ""},
	lags:             {"lags_sent", ""},
	lappedTimes:      {"lapped", ""},
	accepted:         {"accepts", ""},
	upgraded:         {"upgrades", ""},
	acceptErrors:     {"accept_errors", ""},
	handedOver:       {"http_connections", ""},
	refusedFull:      {"refused", "full"},
	refusedHead:      {"refused", "head_too_large"},
	refusedSlow:      {"refused", "head_too_slow"},
	refusedUpgrade:   {"refused", "bad_upgrade"},
	refusedHTTP:      {"refused", "http_full"},
	refusedHandOver:  {"refused", "hand_over"},
	conflatedRate:    {"conflated_updates", "rate"},
	conflatedSlow:    {"conflated_updates", "slow"},
	conflatedCatchUp: {"conflated_updates", "catch-up"},
	closedDone:       {"closed", "done"},
	closedPeer:       {"closed", "peer"},
	closedReset:      {"closed", "reset"},
	closedStalled:    {"closed", "stalled"},
	closedDrained:    {"closed", "drained"},
	byeNormal:        {"close_frames_sent", "normal"},
	byeProtocol:      {"close_frames_sent", "protocol"},
	byeUTF8:          {"close_frames_sent", "utf8"},
	byeFlood:         {"close_frames_sent", "flood"},
	byeTooBig:        {"close_frames_sent", "too_big"},
	byeStalled:       {"close_frames_sent", "stalled"},
	byeRestart:       {"close_frames_sent", "restart"},
	byeOther:         {"close_frames_sent", "other"},
}

// labelOf is the label that tells a metric's counts apart.
var labelOf = map[string]string{
	"refused": "reason", "conflated_updates": "reason", "closed": "reason", "close_frames_sent": "code",
}

// counts are a loop's own: plain integers, because an atomic add costs some 5 ns
// and a price would pay several.
type counts [numCounters]uint64

// published is where a scrape reads a loop's counts, as of its last cycle.
type published struct {
	counts  [numCounters]atomic.Uint64
	conns   atomic.Int64 // open, handshakes included
	subs    atomic.Int64
	blocked atomic.Int64
}

// publish copies the loop's counts where a scrape may read them.
func (l *loop) publish() {
	for i, n := range l.count {
		if l.published.counts[i].Load() != n {
			l.published.counts[i].Store(n)
		}
	}
	l.published.conns.Store(int64(l.open))
	l.published.subs.Store(int64(l.nsubs))
	l.published.blocked.Store(int64(l.blocked))
}

// byeCounter is the count of close frames with a code.
func byeCounter(code ws.StatusCode) counter {
	switch code {
	case ws.StatusNormalClosure:
		return byeNormal
	case ws.StatusProtocolError:
		return byeProtocol
	case ws.StatusInvalidFramePayloadData:
		return byeUTF8
	case ws.StatusPolicyViolation:
		return byeFlood
	case ws.StatusMessageTooBig:
		return byeTooBig
	case closeStalled:
		return byeStalled
	case closeRestart:
		return byeRestart
	}
	return byeOther
}
