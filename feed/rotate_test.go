package feed

import (
	"testing"
	"time"
)

// rotating is a Binance session of one symbol whose first connection is up.
func rotating(t *testing.T, rotate time.Duration) (*exchange, *trial, *peer) {
	e := newExchange(t)
	v := hasty(binance)
	v.rotate = rotate
	r := newTrial(t, v, e.url, quick, "BTC-USDT", "ETH-USDT")
	p := e.next()
	if p.path != "/stream" {
		t.Errorf("path %s", p.path)
	}
	p.asks("btcusdt@bookTicker", "ethusdt@bookTicker")
	p.say(`{"result":null,"id":1}`)
	p.say(bnBook("BTCUSDT", 1, "1"))
	p.say(bnBook("ETHUSDT", 1, "1"))
	r.says("binance:BTC-USDT bid=1 bid_size=1 ask=9 ask_size=1")
	r.says("binance:ETH-USDT bid=1 bid_size=1 ask=9 ask_size=1")
	return e, r, p
}

// Ensure that a connection is left for another before its time is up: both speak
// until the new one has confirmed all, and nothing is stale or has a gap.
func TestSessionRotates(t *testing.T) {
	e, r, old := rotating(t, 300*time.Millisecond)
	p := e.next()
	p.asks("btcusdt@bookTicker")
	p.say(`{"result":null,"id":1}`)
	p.say(bnBook("BTCUSDT", 2, "2"))
	r.says("binance:BTC-USDT bid=2 bid_size=1 ask=9 ask_size=1")
	old.say(bnBook("BTCUSDT", 2, "2")) // both say it: the sequencer drops the repeat
	r.says("binance:BTC-USDT bid=2 bid_size=1 ask=9 ask_size=1")
	select {
	case <-old.closed:
		t.Fatal("left before the next connection had spoken of ETH")
	case <-time.After(5 * quick.linger):
	}
	old.say(bnBook("ETHUSDT", 3, "3"))
	r.says("binance:ETH-USDT bid=3 bid_size=1 ask=9 ask_size=1")
	p.say(bnBook("ETHUSDT", 4, "4"))
	r.says("binance:ETH-USDT bid=4 bid_size=1 ask=9 ask_size=1")
	old.gone()
	p.say(bnBook("BTCUSDT", 5, "5"))
	r.says("binance:BTC-USDT bid=5 bid_size=1 ask=9 ask_size=1")
	if n := r.events("rotated"); n != 1 {
		t.Errorf("%d rotated", n)
	}
}

// Ensure that a notice of the venue's shutdown rotates at once.
func TestSessionShutdown(t *testing.T) {
	e, r, old := rotating(t, time.Hour)
	old.say(`{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1793620804000}}`)
	p := e.next()
	p.say(bnBook("BTCUSDT", 2, "2"))
	p.say(bnBook("ETHUSDT", 2, "2"))
	r.says("binance:BTC-USDT bid=2 bid_size=1 ask=9 ask_size=1")
	r.says("binance:ETH-USDT bid=2 bid_size=1 ask=9 ask_size=1")
	old.gone()
	r.silent(2 * quick.linger)
}

// Ensure that when the old connection ends before the new one is ready, the new one
// takes over, and only what it had not spoken of has a gap.
func TestSessionTakesOver(t *testing.T) {
	e, r, old := rotating(t, 200*time.Millisecond)
	p := e.next()
	p.say(bnBook("BTCUSDT", 2, "2"))
	r.says("binance:BTC-USDT bid=2 bid_size=1 ask=9 ask_size=1")
	old.conn.Close()
	r.says("binance:BTC-USDT status=stale")
	r.says("binance:ETH-USDT status=stale")
	p.say(bnBook("BTCUSDT", 3, "3"))
	p.say(bnBook("ETHUSDT", 3, "3"))
	r.says("binance:BTC-USDT bid=3 bid_size=1 ask=9 ask_size=1")
	r.says("binance:ETH-USDT bid=3 bid_size=1 ask=9 ask_size=1 gap")
}
