package feed

import (
	"context"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// listener is a feed that hears an exchange.
type listener struct {
	*hand
	exchange *exchange
	peer     *peer
}

// listen begins one, of binance/0: its book has no times.
func listen(t *testing.T, s *tapetest.Server) *listener {
	t.Helper()
	l := &listener{exchange: newExchange(t), hand: makeFeed(t, s.URL, Config{})}
	l.in = l.open("binance", shard{})
	l.stream = l.streams[0]
	hurry := livePace
	hurry.backoff, hurry.backoffMax = quick.backoff, quick.backoffMax
	venue := &session{venue: hasty(binance), url: l.exchange.url, symbols: []string{"BTC-USDT"}, in: l.in, log: quiet, pace: hurry}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- venue.run(ctx) }()
	t.Cleanup(func() { stop(); <-done; l.crash() })
	l.peer = l.exchange.next()
	return l
}

// listeners are two that hear the same, of which one has stood by for long enough to say so.
func listeners(t *testing.T) (n *node, writer, standby *listener) {
	t.Helper()
	s := tapetest.Start(t)
	n = follow(t, s.URL, "binance/0")
	writer = listen(t, s)
	writer.reigns()
	standby = listen(t, s)
	for _, l := range []*listener{writer, standby} {
		l.peer.say(bnBook("BTCUSDT", 1, "1"))
	}
	eventually(t, "the first price", func() bool { return n.bid("binance:BTC-USDT") == 1 })
	time.Sleep(2*clocksApart + 500*time.Millisecond)
	return n, writer, standby
}

// A feed whose connection to the venue ends yields to one that hears it.
func TestAFeedThatLosesItsVenueYields(t *testing.T) {
	_, writer, standby := listeners(t)
	writer.exchange.depart(writer.peer)
	eventually(t, "the other writes", func() bool { return value(standby.stream.writer.tape.counts.writer) == 1 })
}

// A feed that takes over after its own connection to the venue has ended says nothing that it
// heard before: the tape has newer.
func TestADeafFeedTakesOver(t *testing.T) {
	n, writer, standby := listeners(t)
	standby.exchange.depart(standby.peer)
	writer.peer.say(bnBook("BTCUSDT", 2, "2"))
	eventually(t, "the next price", func() bool { return n.bid("binance:BTC-USDT") == 2 })
	writer.rdb.Close()
	standby.reigns()
	at := standby.stream.writer.tape.counts.entries
	eventually(t, "it writes", func() bool { return value(at) > 1 })
	if bid := n.bid("binance:BTC-USDT"); bid != 2 {
		t.Errorf("the node was shown a bid of 2, then one of %d", bid)
	}
}
