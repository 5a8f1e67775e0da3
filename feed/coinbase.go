package feed

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/valyala/fastjson"

	"github.com/tickwire/tickwire/codec"
)

// coinbase is Coinbase Exchange, the public feed.
//
//	url           wss://ws-feed.exchange.coinbase.com
//	ticker        with every match: price, best bid and ask, the day so far
//	match         single trades; last_match, after subscribing, is the one before
//	heartbeat     once a second and product
//	limits        8 requests a second; the first subscribe within 5 s
//
// Decimals have a varying number of places ("77289"). sequence is one per product
// for all channels: a match and its ticker share it, so whichever comes first, the
// other is a repeat, and history is older. The ticker says all that a match does, so
// matches are read in recordings and not asked for. Frames before 2022 have no sizes
// of best bid and ask. https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
var coinbase = venue{
	name:      "coinbase",
	url:       "wss://ws-feed.exchange.coinbase.com",
	symbols:   []string{"BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD", "ADA-USD", "LTC-USD", "LINK-USD", "AVAX-USD", "BCH-USD"},
	native:    func(symbol string) string { return symbol },
	canonical: func(native string) string { return native },
	parts:     []part{{channels: []string{"ticker", "heartbeat"}}},
	subscribe: coinbaseSubscribe,
	parse:     coinbaseParse,
	messages: map[string]message{ // besides l2update, snapshot, status, and what is to come
		"ticker":        {kindData, coinbaseTicker},
		"match":         {kindData, coinbaseMatch},
		"last_match":    {kindData, coinbaseMatch},
		"heartbeat":     {kindControl, nil},
		"subscriptions": {kindControl, coinbaseAcks},
		"error":         {kindControl, coinbaseError},
	},
	symbolsMax: 1000,
	batchMax:   100,
	requestGap: 150 * time.Millisecond,
	dialGap:    time.Second,
}

func coinbaseSubscribe(_ int, channel string, native []string) []byte {
	text, _ := json.Marshal(map[string]any{
		"type": "subscribe", "product_ids": native, "channels": []string{channel},
	})
	return text
}

func coinbaseParse(f *frame, raw []byte) error {
	v, err := f.begin(raw)
	if err != nil {
		return err
	}
	name := v.GetStringBytes("type")
	switch {
	case len(name) > 0:
		f.read(name, v)
	case len(v.GetStringBytes("channel")) > 0: // Advanced Trade's: another venue
		f.is(kindIgnored, "advanced_trade")
	default:
		f.refuse(refusedShape)
	}
	return f.err
}

func coinbaseTicker(f *frame, v *fastjson.Value) {
	t := f.tick(v.GetStringBytes("product_id"), chTrade)
	f.order(t, v.Get("sequence"))
	f.trade(t, v.Get("price"), v.Get("last_size"))
	f.side(t, codec.Bid, codec.BidSize, v.Get("best_bid"), v.Get("best_bid_size"))
	f.side(t, codec.Ask, codec.AskSize, v.Get("best_ask"), v.Get("best_ask_size"))
	f.put(t, codec.Open, v.Get("open_24h"))
	f.put(t, codec.High, v.Get("high_24h"))
	f.put(t, codec.Low, v.Get("low_24h"))
	f.put(t, codec.Volume, v.Get("volume_24h"))
	f.time(t, v.Get("time"))
}

func coinbaseMatch(f *frame, v *fastjson.Value) {
	t := f.tick(v.GetStringBytes("product_id"), chTrade)
	f.order(t, v.Get("sequence"))
	f.trade(t, v.Get("price"), v.Get("size"))
	f.time(t, v.Get("time"))
}

// coinbaseAcks lists what is confirmed: every product of every channel, each time.
func coinbaseAcks(f *frame, v *fastjson.Value) {
	for _, c := range v.GetArray("channels") {
		channel := string(c.GetStringBytes("name"))
		for _, p := range c.GetArray("product_ids") {
			product, _ := p.StringBytes()
			f.acks = append(f.acks, ack{channel: channel, symbol: string(product)})
		}
	}
}

// coinbaseError finds the product in "ETH-USD is not a valid product", or "is
// delisted": the rest of the request may have been ignored with it.
func coinbaseError(f *frame, v *fastjson.Value) {
	message, reason := v.GetStringBytes("message"), v.GetStringBytes("reason")
	product, _, found := bytes.Cut(reason, []byte(" is "))
	if !found || !bytes.Contains(product, []byte("-")) {
		product = nil
	}
	f.acks = append(f.acks, ack{symbol: string(product), err: string(message) + ": " + string(reason)})
}
