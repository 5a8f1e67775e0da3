package feed

import (
	"encoding/json"
	"errors"

	"github.com/valyala/fastjson"

	"github.com/tickwire/tickwire/codec"
)

// coinbase is Coinbase Exchange, the public feed.
//
//	ticker        with every match: price, best bid and ask, the day so far
//	matches       single trades; "last_match" after subscribing is history
//	heartbeat     once a second and product
//	limits        8 requests a second; the first subscribe within 5 s
//
// Decimals have a varying number of places ("77289"). sequence is one per product
// for all channels. Frames before 2022 have no sizes of best bid and ask.
// https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
var coinbase = venue{
	name:      "coinbase",
	url:       "wss://ws-feed.exchange.coinbase.com",
	symbols:   []string{"BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD", "ADA-USD", "LTC-USD", "LINK-USD", "AVAX-USD", "BCH-USD"},
	native:    func(symbol string) string { return symbol },
	subscribe: coinbaseSubscribe,
	asked:     []string{"ticker", "matches", "heartbeat"},
	parse:     coinbaseParse,
}

func coinbaseSubscribe(products []string) [][]byte {
	text, _ := json.Marshal(map[string]any{
		"type": "subscribe", "product_ids": products, "channels": []string{"ticker", "matches", "heartbeat"},
	})
	return [][]byte{text}
}

func coinbaseParse(f *frame, raw []byte) error {
	v, err := f.json.ParseBytes(raw)
	if err != nil {
		return ErrFrame
	}
	switch string(v.GetStringBytes("type")) {
	case "ticker":
		f.kind, f.name = kindData, "ticker"
		return coinbaseTicker(f, v)
	case "match":
		f.kind, f.name = kindData, "match"
		return coinbaseMatch(f, v)
	case "last_match":
		// The trade before the subscription: the ticker that comes with it says the same.
		f.kind, f.name = kindIgnored, "last_match"
	case "heartbeat":
		f.kind, f.name = kindControl, "heartbeat"
	case "subscriptions":
		f.kind, f.name = kindControl, "subscriptions"
		coinbaseAcks(f, v)
	case "error":
		f.kind, f.name = kindControl, "error"
		f.acks = append(f.acks, ack{err: string(v.GetStringBytes("message")) + ": " + string(v.GetStringBytes("reason"))})
	case "l2update", "snapshot", "open", "done", "received", "change", "activate", "status", "ticker_batch":
		f.kind, f.name = kindIgnored, f.symbol("", v.GetStringBytes("type"), coinbaseName)
	case "":
		// Advanced Trade's envelope has a channel instead: another venue.
		if v.GetStringBytes("channel") == nil {
			return ErrFrame
		}
		f.kind, f.name = kindIgnored, "advanced_trade"
	default:
		f.kind, f.name = kindIgnored, "unknown_type"
	}
	return nil
}

func coinbaseTicker(f *frame, v *fastjson.Value) error {
	product := v.GetStringBytes("product_id")
	if len(product) == 0 {
		return ErrFrame
	}
	t := f.add(f.symbol("coinbase:", product, coinbaseName), chTrade)
	t.order = v.GetInt64("sequence")
	if err := errors.Join(
		f.put(t, codec.Last, v.Get("price")),
		f.put(t, codec.LastSize, v.Get("last_size")),
		f.put(t, codec.Open, v.Get("open_24h")),
		f.put(t, codec.High, v.Get("high_24h")),
		f.put(t, codec.Low, v.Get("low_24h")),
		f.put(t, codec.Volume, v.Get("volume_24h")),
		f.side(t, codec.Bid, codec.BidSize, v.Get("best_bid"), v.Get("best_bid_size")),
		f.side(t, codec.Ask, codec.AskSize, v.Get("best_ask"), v.Get("best_ask_size")),
	); err != nil {
		return err
	}
	return t.time(v.GetStringBytes("time"))
}

func coinbaseMatch(f *frame, v *fastjson.Value) error {
	product := v.GetStringBytes("product_id")
	if len(product) == 0 {
		return ErrFrame
	}
	t := f.add(f.symbol("coinbase:", product, coinbaseName), chTrade)
	t.order = v.GetInt64("sequence")
	if err := errors.Join(
		f.put(t, codec.Last, v.Get("price")),
		f.put(t, codec.LastSize, v.Get("size")),
	); err != nil {
		return err
	}
	return t.time(v.GetStringBytes("time"))
}

// coinbaseAcks lists what is confirmed: every product of every channel.
func coinbaseAcks(f *frame, v *fastjson.Value) {
	for _, c := range v.GetArray("channels") {
		for _, p := range c.GetArray("product_ids") {
			product, _ := p.StringBytes()
			f.acks = append(f.acks, ack{channel: string(c.GetStringBytes("name")), symbol: string(product)})
		}
	}
}

func coinbaseName(native []byte) string { return string(native) }
