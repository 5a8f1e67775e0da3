package feed

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/tickwire/tickwire/codec"
)

// kraken is Kraken's WebSocket v2.
//
//	ticker        with event_trigger bbo: on every change of the best prices
//	trade         single trades; several in a frame
//	heartbeat     once a second when nothing else is sent
//	symbols       BTC/USD, DOGE/USD: v1's XBT and XDG are refused
//
// Prices are JSON numbers, sometimes with an exponent; keys come in any order. One
// acknowledgement a symbol and channel; a rejected symbol is silent for ever.
// https://docs.kraken.com/api/docs/websocket-v2/ticker
var kraken = venue{
	name:      "kraken",
	url:       "wss://ws.kraken.com/v2",
	symbols:   []string{"BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD", "ADA-USD", "LTC-USD", "DOT-USD"},
	native:    func(symbol string) string { return strings.Replace(symbol, "-", "/", 1) },
	subscribe: krakenSubscribe,
	asked:     []string{"ticker", "trade"},
	ping:      `{"method":"ping"}`,
	parse:     krakenParse,
}

// krakenSubscribe puts all symbols into one message a channel: several are refused
// for their rate, without a word of the symbols.
func krakenSubscribe(native []string) (messages [][]byte) {
	for _, params := range []map[string]any{
		{"channel": "ticker", "symbol": native, "event_trigger": "bbo", "snapshot": true},
		{"channel": "trade", "symbol": native, "snapshot": false},
	} {
		text, _ := json.Marshal(map[string]any{"method": "subscribe", "params": params, "req_id": len(messages) + 1})
		messages = append(messages, text)
	}
	return messages
}

func krakenName(native []byte) string { return strings.Replace(string(native), "/", "-", 1) }

func krakenParse(f *frame, raw []byte) error {
	v, err := f.json.ParseBytes(raw)
	if err != nil {
		return ErrFrame
	}
	if v.Type() == fastjson.TypeArray || v.Exists("event") {
		f.kind, f.name = kindIgnored, "v1"
		return nil
	}
	if v.Type() != fastjson.TypeObject {
		return ErrFrame
	}
	switch string(v.GetStringBytes("channel")) {
	case "ticker":
		f.kind, f.name = kindData, "ticker"
		return f.eachOf(v.GetArray("data"), krakenTicker)
	case "trade":
		f.kind, f.name = kindData, "trade"
		return f.eachOf(v.GetArray("data"), krakenTrade)
	case "heartbeat":
		f.kind, f.name = kindControl, "heartbeat"
	case "status":
		f.kind, f.name = kindControl, "status"
		krakenStatus(f, v.GetArray("data"))
	case "book", "ohlc", "instrument", "level3":
		f.kind, f.name = kindIgnored, f.symbol("", v.GetStringBytes("channel"), krakenName)
	case "":
		return krakenAnswer(f, v)
	default:
		f.kind, f.name = kindIgnored, "unknown_channel"
	}
	return nil
}

func krakenTicker(f *frame, v *fastjson.Value) error {
	t, err := krakenTick(f, v, chBook)
	if err != nil {
		return err
	}
	return errors.Join(
		f.side(t, codec.Bid, codec.BidSize, v.Get("bid"), v.Get("bid_qty")),
		f.side(t, codec.Ask, codec.AskSize, v.Get("ask"), v.Get("ask_qty")),
		f.put(t, codec.Last, v.Get("last")),
		f.put(t, codec.High, v.Get("high")),
		f.put(t, codec.Low, v.Get("low")),
		f.put(t, codec.VWAP, v.Get("vwap")),
		f.put(t, codec.Volume, v.Get("volume")),
		f.count(t, codec.Trades, v.Get("trades")),
	)
}

func krakenTrade(f *frame, v *fastjson.Value) error {
	t, err := krakenTick(f, v, chTrade)
	if err != nil {
		return err
	}
	t.order = v.GetInt64("trade_id")
	return errors.Join(f.put(t, codec.Last, v.Get("price")), f.put(t, codec.LastSize, v.Get("qty")))
}

func krakenTick(f *frame, v *fastjson.Value, ch channel) (*tick, error) {
	native := v.GetStringBytes("symbol")
	if len(native) == 0 {
		return nil, ErrFrame
	}
	t := f.add(f.symbol("kraken:", native, krakenName), ch)
	return t, t.time(v.GetStringBytes("timestamp"))
}

func krakenStatus(f *frame, data []*fastjson.Value) {
	for _, v := range data {
		switch string(v.GetStringBytes("system")) {
		case "online", "post_only":
			f.event = eventOnline
		case "maintenance", "cancel_only":
			f.event = eventOffline
		}
	}
}

// krakenAnswer reads what answers a request.
func krakenAnswer(f *frame, v *fastjson.Value) error {
	f.kind = kindControl
	switch method := string(v.GetStringBytes("method")); {
	case method == "pong":
		f.name = "pong"
	case v.Exists("error") || v.Exists("Error"):
		f.name = "error"
		text := v.GetStringBytes("error")
		if text == nil {
			text = v.GetStringBytes("Error")
		}
		f.acks = append(f.acks, ack{symbol: string(v.GetStringBytes("symbol")), err: string(text)})
	case method == "subscribe":
		f.name = "subscribe"
		f.acks = append(f.acks, ack{
			channel: string(v.GetStringBytes("result", "channel")), symbol: string(v.GetStringBytes("result", "symbol")),
		})
	case method == "unsubscribe":
		f.name = "unsubscribe"
	case v.Exists("feed"):
		f.kind, f.name = kindIgnored, "futures"
	default:
		return ErrFrame
	}
	return nil
}
