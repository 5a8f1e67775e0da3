package feed

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"github.com/tickwire/tickwire/codec"
)

// kraken is Kraken's WebSocket v2.
//
//	url           wss://ws.kraken.com/v2
//	ticker        with event_trigger bbo: on every change of the best prices
//	trade         single trades; several in a frame, the last 50 in the snapshot
//	heartbeat     once a second when nothing else is sent
//	symbols       BTC/USD, DOGE/USD: v1's XBT and XDG are refused
//	limits        150 dials in 10 minutes; requests by an unpublished rate
//
// Prices are JSON numbers, sometimes with an exponent; keys come in any order. One
// acknowledgement a symbol and channel; a rejected symbol is silent for ever. Ticker
// and trade overtake each other, so a ticker's last is only taken where there are no
// trades: it is of chStats. https://docs.kraken.com/api/docs/websocket-v2/ticker
var kraken = venue{
	name:      "kraken",
	url:       "wss://ws.kraken.com/v2",
	symbols:   []string{"BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD", "ADA-USD", "LTC-USD", "DOT-USD"},
	native:    func(symbol string) string { return strings.Replace(symbol, "-", "/", 1) },
	canonical: func(native string) string { return strings.Replace(native, "/", "-", 1) },
	parts:     []part{{channels: []string{"ticker", "trade"}}},
	subscribe: krakenSubscribe,
	parse:     krakenParse,
	messages: map[string]message{ // besides book, ohlc, instrument, level3, and what is to come
		"ticker":    {kindData, func(f *frame, v *fastjson.Value) { f.each(krakenData(f, v), krakenTicker) }},
		"trade":     {kindData, func(f *frame, v *fastjson.Value) { f.each(krakenData(f, v), krakenTrade) }},
		"heartbeat": {kindControl, nil},
		"status":    {kindControl, krakenStatus},
	},
	symbolsMax: 1000,
	batchMax:   1000, // one request a channel: several are refused for their rate, without a word of the symbols
	requestGap: 500 * time.Millisecond,
	dialGap:    4 * time.Second,
}

func krakenSubscribe(id int, channel string, native []string) []byte {
	params := map[string]any{"channel": channel, "symbol": native, "snapshot": true}
	if channel == "ticker" {
		params["event_trigger"] = "bbo"
	}
	text, _ := json.Marshal(map[string]any{"method": "subscribe", "params": params, "req_id": id})
	return text
}

func krakenParse(f *frame, raw []byte) error {
	v, err := f.begin(raw)
	if err != nil {
		return err
	}
	if channel := v.GetStringBytes("channel"); len(channel) > 0 {
		f.read(channel, v)
	} else {
		krakenAnswer(f, v)
	}
	return f.err
}

func krakenStatus(f *frame, v *fastjson.Value) {
	for _, one := range krakenData(f, v) {
		if s := string(one.GetStringBytes("system")); s == "maintenance" || s == "cancel_only" {
			f.event = eventOffline
		}
	}
}

func krakenData(f *frame, v *fastjson.Value) []*fastjson.Value {
	data := v.Get("data")
	if data == nil || data.Type() != fastjson.TypeArray {
		f.refuse(refusedShape)
		return nil
	}
	all, _ := data.Array()
	return all
}

func krakenTicker(f *frame, v *fastjson.Value) {
	native := v.GetStringBytes("symbol")
	t := f.tick(native, chBook)
	f.side(t, codec.Bid, codec.BidSize, v.Get("bid"), v.Get("bid_qty"))
	f.side(t, codec.Ask, codec.AskSize, v.Get("ask"), v.Get("ask_qty"))
	f.time(t, v.Get("timestamp"))
	t = f.tick(native, chStats)
	f.trade(t, v.Get("last"), nil)
	f.put(t, codec.High, v.Get("high"))
	f.put(t, codec.Low, v.Get("low"))
	f.put(t, codec.VWAP, v.Get("vwap"))
	f.put(t, codec.Volume, v.Get("volume"))
	f.count(t, codec.Trades, v.Get("trades"))
	f.time(t, v.Get("timestamp"))
}

// krakenTrade keeps the newest trade of a symbol: those of one frame are as one.
func krakenTrade(f *frame, v *fastjson.Value) {
	t := f.tick(v.GetStringBytes("symbol"), chTrade)
	f.order(t, v.Get("trade_id"))
	f.trade(t, v.Get("price"), v.Get("qty"))
	f.time(t, v.Get("timestamp"))
	n := len(f.ticks)
	if n > 1 && f.err == nil && f.ticks[n-2].symbol == t.symbol {
		if t.order >= f.ticks[n-2].order {
			f.ticks[n-2] = *t
		}
		f.ticks = f.ticks[:n-1]
	}
}

// krakenAnswer reads what answers a request, and knows the frames of Kraken's other
// feeds: v1 has arrays and events, futures have a feed.
func krakenAnswer(f *frame, v *fastjson.Value) {
	method, text := v.GetStringBytes("method"), v.GetStringBytes("error")
	if text == nil {
		text = v.GetStringBytes("Error") // the answer to a flood
	}
	switch {
	case v.Type() == fastjson.TypeArray:
		f.is(kindIgnored, "v1_array")
	case v.Type() != fastjson.TypeObject:
		f.refuse(refusedShape)
	case v.Exists("feed"):
		f.is(kindIgnored, "futures")
	case v.Exists("event"):
		f.is(kindIgnored, "v1_event")
	case bytes.HasPrefix(text, []byte("Already subscribed")):
		f.is(kindControl, "subscribe")
		f.acks = append(f.acks, ack{symbol: string(v.GetStringBytes("symbol"))})
	case text != nil:
		f.is(kindControl, "error")
		f.acks = append(f.acks, ack{symbol: string(v.GetStringBytes("symbol")), err: string(text)})
	case string(method) == "subscribe":
		f.is(kindControl, "subscribe")
		f.acks = append(f.acks, ack{
			channel: string(v.GetStringBytes("result", "channel")), symbol: string(v.GetStringBytes("result", "symbol")),
		})
	case string(method) == "pong":
		f.is(kindControl, "pong")
	case len(method) > 0:
		f.is(kindControl, "answer")
	default:
		f.refuse(refusedShape)
	}
}
