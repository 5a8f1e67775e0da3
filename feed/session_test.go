package feed

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// Frames as Coinbase and Binance send them, and Kraken's answers.
func cbMatch(product string, sequence int, price string) string {
	return fmt.Sprintf(`{"type":"match","sequence":%d,"product_id":%q,"price":%q,"size":"1","time":"2026-11-02T12:00:00Z"}`, sequence, product, price)
}

func cbAck(channel string, products ...string) string {
	return fmt.Sprintf(`{"type":"subscriptions","channels":[{"name":%q,"product_ids":["%s"]}]}`, channel, strings.Join(products, `","`))
}

func bnBook(symbol string, u int, bid string) string {
	return fmt.Sprintf(`{"stream":"x","data":{"u":%d,"s":%q,"b":%q,"B":"1","a":"9","A":"1"}}`, u, symbol, bid)
}

// joined is a Coinbase session that has subscribed to BTC-USD and ETH-USD and said one
// price of each.
func joined(t *testing.T) (*exchange, *trial, *peer) {
	e := newExchange(t)
	r := newTrial(t, hasty(coinbase), e.url, quick, "BTC-USD", "ETH-USD")
	p := e.next()
	p.asks(`"ticker"`, "BTC-USD", "ETH-USD")
	p.asks(`"heartbeat"`, "BTC-USD", "ETH-USD")
	p.say(cbAck("ticker", "BTC-USD", "ETH-USD"))
	p.say(cbAck("heartbeat", "BTC-USD", "ETH-USD"))
	p.say(cbMatch("BTC-USD", 1, "100"))
	p.say(cbMatch("ETH-USD", 1, "10"))
	r.says("coinbase:BTC-USD last=100 last_size=1")
	r.says("coinbase:ETH-USD last=10 last_size=1")
	return e, r, p
}

// Ensure that what a venue sends is said, stamped when it arrived.
func TestSessionReads(t *testing.T) {
	_, r, p := joined(t)
	before := time.Now().UnixMicro()
	p.say(cbMatch("BTC-USD", 2, "101.5"))
	k := r.says("coinbase:BTC-USD last=101.5 last_size=1")
	if at := k.quote[codec.RecvTime]; at < before || at > time.Now().UnixMicro() {
		t.Errorf("received at %d", at)
	}
	if k.order != 2 || k.channel != chTrade {
		t.Errorf("order %d, channel %d", k.order, k.channel)
	}
	// A frame that is none is counted, and the connection goes on.
	p.say(`{"type":"match","sequence":3,"product_id":"BTC-USD","price":"1..5"}`)
	p.say(`not JSON`)
	p.say(cbMatch("BTC-USD", 4, "102"))
	r.says("coinbase:BTC-USD last=102 last_size=1")
	if len(p.asked) != 0 {
		t.Errorf("asked again: %s", <-p.asked)
	}
}

// Ensure that messages in fragments are put together, with a ping between them, and
// that a ping is answered with its payload.
func TestSessionFragments(t *testing.T) {
	_, r, p := joined(t)
	text := cbMatch("BTC-USD", 2, "101.5")
	p.frame(ws.NewFrame(ws.OpText, false, []byte(text[:10])))
	p.frame(ws.NewPingFrame([]byte("are you there")))
	p.frame(ws.NewFrame(ws.OpContinuation, false, nil))
	p.frame(ws.NewFrame(ws.OpContinuation, true, []byte(text[10:])))
	r.says("coinbase:BTC-USD last=101.5 last_size=1")
	if got := await(t, p.pongs, "pong"); got != "are you there" {
		t.Errorf("pong %q", got)
	}
}

// Ensure that a message beyond frameMax, fragments together, ends the connection
// before it is read.
func TestSessionTooLarge(t *testing.T) {
	e, r, p := joined(t)
	p.frame(ws.NewFrame(ws.OpText, false, []byte("{")))
	var b bytes.Buffer
	ws.WriteHeader(&b, ws.Header{Fin: true, OpCode: ws.OpContinuation, Length: frameMax})
	p.conn.Write(b.Bytes())
	r.says("coinbase:BTC-USD status=stale gap")
	r.says("coinbase:ETH-USD status=stale gap")
	e.next()
}

// Ensure that what the venue does not confirm is asked for again, it alone, three
// times, and then is down, until it comes after all.
func TestSessionUnconfirmed(t *testing.T) {
	e := newExchange(t)
	r := newTrial(t, hasty(coinbase), e.url, quick, "BTC-USD", "ETH-USD")
	p := e.next()
	p.asks(`"ticker"`)
	p.asks(`"heartbeat"`)
	p.say(cbAck("ticker", "BTC-USD"))
	p.say(cbAck("heartbeat", "BTC-USD", "ETH-USD"))
	began := time.Now()
	for range askTries {
		p.asks(`"ticker"`, "ETH-USD", "!BTC-USD")
	}
	if d := time.Since(began); d < 6*quick.ack {
		t.Errorf("asked three times in %v: does not wait longer each time", d)
	}
	r.says("coinbase:ETH-USD status=down")
	if n := r.events("unconfirmed"); n != 1 {
		t.Errorf("%d unconfirmed", n)
	}
	p.asks(`"ticker"`, "ETH-USD") // and now and then
	p.say(cbMatch("ETH-USD", 1, "10"))
	r.says("coinbase:ETH-USD last=10 last_size=1")
}

// Ensure that a symbol the venue refuses takes the others not with it: they are
// asked for again, it is not, and on the next connection neither.
func TestSessionRefused(t *testing.T) {
	e := newExchange(t)
	r := newTrial(t, hasty(coinbase), e.url, quick, "BTC-USD", "PENNY-USD")
	p := e.next()
	p.asks(`"ticker"`, "BTC-USD", "PENNY-USD")
	p.asks(`"heartbeat"`)
	for range 2 {
		p.say(`{"type":"error","message":"Failed to subscribe","reason":"PENNY-USD is not a valid product"}`)
	}
	r.says("coinbase:PENNY-USD status=down")
	p.asks(`"ticker"`, "BTC-USD", "!PENNY")
	p.asks(`"heartbeat"`, "BTC-USD", "!PENNY")
	p.conn.Close()
	p = e.next()
	p.asks(`"ticker"`, "BTC-USD", "!PENNY")
	if n := r.events("refused"); n != 1 {
		t.Errorf("%d refused", n)
	}
}

// Ensure that a lost connection is said at once, and that what comes after it is
// flagged, once a symbol.
func TestSessionReturns(t *testing.T) {
	e, r, p := joined(t)
	p.conn.Close()
	r.says("coinbase:BTC-USD status=stale gap")
	r.says("coinbase:ETH-USD status=stale gap")
	p = e.next()
	p.asks(`"ticker"`, "BTC-USD", "ETH-USD")
	p.say(cbMatch("BTC-USD", 1, "7"))
	p.say(cbMatch("BTC-USD", 2, "8"))
	p.say(cbMatch("ETH-USD", 2, "9"))
	r.says("coinbase:BTC-USD last=7 last_size=1 gap")
	r.says("coinbase:BTC-USD last=8 last_size=1")
	r.says("coinbase:ETH-USD last=9 last_size=1 gap")
	// A close frame is the same, and the reason is the venue's.
	p.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(1008, "Too many requests")))
	r.says("coinbase:BTC-USD status=stale gap")
	r.says("coinbase:ETH-USD status=stale gap")
	e.next().asks(`"ticker"`)
	if n := r.events("disconnected"); n != 2 {
		t.Errorf("%d disconnected", n)
	}
}

// Ensure that symbols are down when nobody answers, and that the session tries on.
func TestSessionDown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "ws://" + listener.Addr().String()
	listener.Close()
	r := newTrial(t, hasty(coinbase), url, quick, "BTC-USD", "ETH-USD")
	r.says("coinbase:BTC-USD status=down")
	r.says("coinbase:ETH-USD status=down")
	for n := r.events("dial_failed"); n < 2*downAfter; n = r.events("dial_failed") {
		time.Sleep(time.Millisecond)
	}
}

// Ensure that a venue that accepts and says nothing is down too: only data proves
// that it is back.
func TestSessionBackoff(t *testing.T) {
	e := newExchange(t)
	r := newTrial(t, hasty(coinbase), e.url, quick, "BTC-USD")
	for range downAfter {
		p := e.next()
		p.asks("ticker")
		p.say(cbAck("ticker", "BTC-USD"))
		p.conn.Close()
	}
	r.says("coinbase:BTC-USD status=down")
	e.next().say(cbMatch("BTC-USD", 1, "5"))
	r.says("coinbase:BTC-USD last=5 last_size=1")
}

// Ensure that a silent connection is pinged, kept when it answers, and left when it
// does not.
func TestSessionSilence(t *testing.T) {
	e, r, p := joined(t)
	for range 6 { // longer than silence: pongs keep it
		await(t, p.pings, "ping")
	}
	r.silent(0)
	p.conn.Close()
	r.says("coinbase:BTC-USD status=stale gap")
	r.says("coinbase:ETH-USD status=stale gap")
	p = e.next()
	p.mute = true
	p.say(cbMatch("BTC-USD", 1, "7"))
	r.says("coinbase:BTC-USD last=7 last_size=1 gap")
	r.says("coinbase:BTC-USD status=stale gap")
	r.says("coinbase:ETH-USD status=stale gap")
	p.gone()
	if n := r.events("silent"); n != 1 {
		t.Errorf("%d silent", n)
	}
	if len(p.pings) == 0 {
		t.Error("not pinged")
	}
}

// Ensure that a symbol that Binance acknowledges and never speaks of is down.
func TestSessionUnheard(t *testing.T) {
	e := newExchange(t)
	r := newTrial(t, hasty(binance), e.url, quick, "BTC-USDT", "NOPE-USDT")
	p := e.next()
	for range 3 {
		p.asks("btcusdt@", "nopeusdt@")
	}
	p.say(bnBook("BTCUSDT", 1, "1"))
	r.says("binance:BTC-USDT bid=1 bid_size=1 ask=9 ask_size=1")
	for range askTries * 3 {
		p.asks("nopeusdt@", "!btcusdt@")
		p.say(`{"result":null,"id":1}`)
	}
	r.says("binance:NOPE-USDT status=down")
}

// Ensure that a symbol named as the venue spells it, or of an unknown quote asset, is
// confirmed by its data.
func TestSessionSpellings(t *testing.T) {
	e := newExchange(t)
	r := newTrial(t, hasty(binance), e.url, quick, "BTCUSDT", "ODD-FOO")
	p := e.next()
	if got := await(t, p.asked, "request"); strings.Count(got, "btcusdt@") != 1 {
		t.Errorf("asked %s", got)
	}
	p.asks("ticker")
	p.asks("trade")
	p.say(bnBook("BTCUSDT", 1, "1"))
	p.say(bnBook("ODDFOO", 1, "1"))
	r.says("binance:BTC-USDT bid=1 bid_size=1 ask=9 ask_size=1")
	r.says("binance:ODDFOO bid=1 bid_size=1 ask=9 ask_size=1")
	time.Sleep(4 * quick.ack)
	if len(p.asked) > 0 {
		t.Errorf("asked again: %s", <-p.asked)
	}
}

// Ensure that a venue in parts has a connection for each, with its own channels.
func TestSessionParts(t *testing.T) {
	e := newExchange(t)
	r := newTrial(t, hasty(binanceUSDM), e.url, quick, "BTC-USDT")
	for range 2 {
		switch p := e.next(); p.path {
		case "/public/stream":
			p.asks("btcusdt@bookTicker")
			p.say(bnBook("BTCUSDT", 1, "1"))
		case "/market/stream":
			p.asks("btcusdt@ticker")
			p.asks("btcusdt@aggTrade")
		default:
			t.Errorf("path %s", p.path)
		}
	}
	r.says("binance-usdm:BTC-USDT bid=1 bid_size=1 ask=9 ask_size=1")
}

// Ensure that Kraken's acknowledgements are counted symbol by symbol, and that its
// maintenance halts what we had.
func TestSessionKraken(t *testing.T) {
	e := newExchange(t)
	r := newTrial(t, hasty(kraken), e.url, quick, "BTC-USD", "XBT-USD")
	p := e.next()
	p.asks(`"ticker"`, `"BTC/USD"`, `"XBT/USD"`)
	p.asks(`"trade"`, `"BTC/USD"`, `"XBT/USD"`)
	p.say(`{"channel":"status","data":[{"system":"online"}],"type":"update"}`)
	p.say(`{"method":"subscribe","result":{"channel":"ticker","symbol":"BTC/USD"},"success":true}`)
	p.say(`{"error":"Currency pair not supported XBT/USD","method":"subscribe","success":false,"symbol":"XBT/USD"}`)
	r.says("kraken:XBT-USD status=down")
	p.asks(`"trade"`, `"BTC/USD"`, "!XBT") // its acknowledgement was lost
	p.say(`{"error":"Already subscribed to one trade channel","method":"subscribe","success":false,"symbol":"BTC/USD"}`)
	p.say(`{"channel":"status","data":[{"system":"maintenance"}],"type":"update"}`)
	r.says("kraken:BTC-USD status=halted")
	r.says("kraken:XBT-USD status=halted")
	time.Sleep(4 * quick.ack)
	if len(p.asked) > 0 {
		t.Errorf("asked again: %s", <-p.asked)
	}
}

// Ensure that more symbols than a connection may have are spread over several, and
// more than a request may have over several requests.
func TestSessionSpreads(t *testing.T) {
	e := newExchange(t)
	v := hasty(coinbase)
	v.symbolsMax, v.batchMax = 3, 2
	r := newTrial(t, v, e.url, quick, "A-USD", "B-USD", "C-USD", "D-USD", "A-USD")
	seen := make(map[string]int)
	for range 2 {
		p := e.next()
		for range 2 {
			first := await(t, p.asked, "request")
			for _, s := range []string{"A-USD", "B-USD", "C-USD", "D-USD"} {
				seen[s] += strings.Count(first, s)
			}
			if strings.Contains(first, "D-USD") {
				break // a connection of one symbol: one request a channel
			}
		}
		p.say(cbMatch("A-USD", 1, "5"))
		r.says("coinbase:A-USD last=5 last_size=1")
	}
	for _, s := range []string{"A-USD", "B-USD", "C-USD", "D-USD"} {
		if seen[s] != 1 {
			t.Errorf("%s asked for %d times", s, seen[s])
		}
	}
}
