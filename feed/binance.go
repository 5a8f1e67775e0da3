package feed

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"github.com/tickwire/tickwire/codec"
)

// binance is three markets with one format; binance itself is spot.
//
//	urls          wss://stream.binance.com:9443/stream (spot), wss://dstream.binance.com/stream (COIN-M),
//	              wss://fstream.binance.com/public/stream and /market/stream (USD-M, since 2026-04)
//	bookTicker    real time: best bid and ask; spot has no event time
//	24hrTicker    once a second, rolling 24 h: asked for as ticker; COIN-M has no bid and ask
//	trade         single trades: spot, and recorded futures; aggTrade: those of one taker order
//	limits        1,024 streams a connection (COIN-M 200), 5 messages a second, 300 dials in 5 minutes, 24 h
//
// Keys differ only in case: e/E, b/B, a/A, c/C. Acknowledgements name no symbol, and
// an unknown one is acknowledged and silent. Volumes of COIN-M are contracts, its
// turnover is of the base asset. https://github.com/binance/binance-spot-api-docs
var binance = binanceMarket(venue{
	name:       "binance",
	url:        "wss://stream.binance.com:9443",
	tag:        "binance_spot",
	symbols:    []string{"BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT", "DOGE-USDT", "ADA-USDT", "TRX-USDT", "LINK-USDT", "AVAX-USDT"},
	parts:      []part{{path: "/stream", channels: []string{"bookTicker", "ticker", "trade"}}},
	symbolsMax: 340,
})

var binanceUSDM = binanceMarket(venue{
	name:    "binance-usdm",
	url:     "wss://fstream.binance.com",
	tag:     "binance_usdm",
	symbols: []string{"BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT", "DOGE-USDT"},
	// A stream asked for on the other path is acknowledged and silent.
	parts: []part{
		{path: "/public/stream", channels: []string{"bookTicker"}},
		{path: "/market/stream", channels: []string{"ticker", "aggTrade"}},
	},
	symbolsMax: 500,
})

var binanceCoinM = binanceMarket(venue{
	name:       "binance-coinm",
	url:        "wss://dstream.binance.com",
	tag:        "binance_coinm",
	symbols:    []string{"BTC-USD-PERP", "ETH-USD-PERP", "BNB-USD-PERP", "SOL-USD-PERP"},
	canonical:  func(native string) string { return binanceSplit(native, "USD") }, // BNBUSD is not BN-BUSD
	parts:      []part{{path: "/stream", channels: []string{"bookTicker", "ticker", "aggTrade"}}},
	symbolsMax: 66,
})

// binanceMarket completes a row with what the markets share.
func binanceMarket(v venue) venue {
	if v.canonical == nil {
		v.canonical = func(native string) string { return binanceSplit(native, binanceQuotes...) }
	}
	v.native, v.subscribe, v.parse = binanceNative, binanceSubscribe, binanceParse
	v.messages = binanceMessages
	v.byData, v.batchMax, v.rotate = true, 200, 23*time.Hour
	v.requestGap, v.dialGap = 300*time.Millisecond, time.Second
	return v
}

func binanceSubscribe(id int, channel string, native []string) []byte {
	params := make([]string, len(native))
	for i, symbol := range native {
		params[i] = strings.ToLower(symbol) + "@" + channel
	}
	text, _ := json.Marshal(map[string]any{"method": "SUBSCRIBE", "params": params, "id": id})
	return text
}

// binanceQuotes are the assets that symbols end in; the longest that fits counts.
var binanceQuotes = []string{
	"FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "USDS", "USD1", "BIDR", "BVND", "IDRT", "BKRW", "DOGE", "DAI", "PAX", "BTC", "ETH", "BNB",
	"TRX", "XRP", "DOT", "SOL", "VAI", "UST", "EUR", "GBP", "AUD", "TRY", "BRL", "RUB", "UAH", "NGN", "ZAR", "PLN", "RON", "ARS", "JPY", "MXN",
	"CZK", "COP", "IDR", "KZT", "USD", "U",
}

// binanceSplit splits BTCUSDT into BTC-USDT, and BTCUSD_PERP into BTC-USD-PERP. A
// quote asset that is not known leaves the pair whole.
func binanceSplit(native string, quotes ...string) string {
	pair, contract, dated := strings.Cut(native, "_")
	for _, quote := range quotes {
		if base, ok := strings.CutSuffix(pair, quote); ok && base != "" {
			pair = base + "-" + quote
			break
		}
	}
	if dated {
		pair += "-" + contract
	}
	return pair
}

// binanceNative is the way back.
func binanceNative(symbol string) string {
	base, rest, _ := strings.Cut(symbol, "-")
	return base + strings.Replace(rest, "-", "_", 1)
}

func binanceParse(f *frame, raw []byte) error {
	v, err := f.begin(raw)
	if err != nil {
		return err
	}
	if data := v.Get("data"); data != nil && v.Exists("stream") {
		v = data
	}
	if v.Type() != fastjson.TypeArray {
		binanceEvent(f, v)
		return f.err
	}
	f.each(v.GetArray(), binanceEvent)
	if f.name == "" {
		f.refuse(refusedShape) // nothing in it
	}
	return f.err
}

// binanceMessages are events by name; besides depthUpdate, kline, markPriceUpdate, and
// what is to come.
var binanceMessages = map[string]message{
	"bookTicker":     {kindData, binanceBook},
	"24hrTicker":     {kindData, binanceStats},
	"24hrMiniTicker": {kindData, binanceStats},
	"trade":          {kindData, func(f *frame, v *fastjson.Value) { binanceTrade(f, v, chTrade, v.Get("t")) }},
	"aggTrade":       {kindData, func(f *frame, v *fastjson.Value) { binanceTrade(f, v, chAggTrade, v.Get("a")) }},
	"serverShutdown": {kindControl, func(f *frame, _ *fastjson.Value) { f.event = eventRotate }},
}

func binanceEvent(f *frame, v *fastjson.Value) {
	if name := v.GetStringBytes("e"); len(name) > 0 {
		f.read(name, v)
	} else {
		binanceUnnamed(f, v)
	}
}

// binanceUnnamed reads frames without an event name: spot's bookTicker, known by
// its keys, and answers.
func binanceUnnamed(f *frame, v *fastjson.Value) {
	switch {
	case v.Exists("u") && v.Exists("s") && v.Exists("b") && v.Exists("a"):
		f.is(kindData, "bookTicker")
		binanceBook(f, v)
	case v.Exists("code") || v.Exists("error"):
		f.is(kindControl, "error")
		f.acks = append(f.acks, ack{err: v.String()})
	case v.Exists("result"):
		f.is(kindControl, "result")
	case v.Exists("lastUpdateId"):
		f.is(kindIgnored, "depth")
	default:
		f.refuse(refusedShape)
	}
}

func binanceBook(f *frame, v *fastjson.Value) {
	t := binanceTick(f, v, chBook, v.Get("u"))
	f.side(t, codec.Bid, codec.BidSize, v.Get("b"), v.Get("B"))
	f.side(t, codec.Ask, codec.AskSize, v.Get("a"), v.Get("A"))
}

func binanceTrade(f *frame, v *fastjson.Value, ch channel, id *fastjson.Value) {
	f.trade(binanceTick(f, v, ch, id), v.Get("p"), v.Get("q"))
}

// binanceStats reads the day so far, of the full and of the mini ticker.
func binanceStats(f *frame, v *fastjson.Value) {
	t := binanceTick(f, v, chStats, v.Get("E"))
	f.trade(t, v.Get("c"), v.Get("Q"))
	f.side(t, codec.Bid, codec.BidSize, v.Get("b"), v.Get("B"))
	f.side(t, codec.Ask, codec.AskSize, v.Get("a"), v.Get("A"))
	f.put(t, codec.Open, v.Get("o"))
	f.put(t, codec.High, v.Get("h"))
	f.put(t, codec.Low, v.Get("l"))
	f.put(t, codec.VWAP, v.Get("w"))
	f.put(t, codec.Volume, v.Get("v"))
	f.put(t, codec.Turnover, v.Get("q"))
	f.count(t, codec.Trades, v.Get("n"))
}

// binanceTick begins the tick of an event with its symbol, order and time.
func binanceTick(f *frame, v *fastjson.Value, ch channel, order *fastjson.Value) *tick {
	t := f.tick(v.GetStringBytes("s"), ch)
	f.order(t, order)
	f.epoch(t, v.Get("E"))
	return t
}
