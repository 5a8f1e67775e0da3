package feed

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/tickwire/tickwire/codec"
)

// binance is three markets with one format.
//
//	bookTicker    real time: best bid and ask; spot has no event time
//	24hrTicker    once a second: the day so far; COIN-M has no bid and ask
//	trade         single trades (spot, and recorded futures)
//	aggTrade      trades of one taker order
//	limits        1,024 streams a connection, 5 messages a second, 24 h
//
// Keys differ only in case: e/E, b/B, a/A, c/C. An unknown symbol is acknowledged
// and silent. https://github.com/binance/binance-spot-api-docs
var binance = venue{
	name:      "binance",
	url:       "wss://stream.binance.com:9443/stream",
	symbols:   []string{"BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT", "DOGE-USDT", "ADA-USDT", "TRX-USDT", "LINK-USDT", "AVAX-USDT"},
	native:    binanceNative,
	subscribe: binanceSubscribe("bookTicker", "ticker", "trade"),
	rotate:    23,
	parse:     binanceParse("binance:"),
}

var binanceUSDM = venue{
	name:      "binance-usdm",
	url:       "wss://fstream.binance.com/stream",
	symbols:   []string{"BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT", "DOGE-USDT"},
	native:    binanceNative,
	subscribe: binanceSubscribe("bookTicker", "ticker", "aggTrade"),
	rotate:    23,
	parse:     binanceParse("binance-usdm:"),
}

var binanceCoinM = venue{
	name:      "binance-coinm",
	url:       "wss://dstream.binance.com/stream",
	symbols:   []string{"BTC-USD-PERP", "ETH-USD-PERP", "BNB-USD-PERP", "SOL-USD-PERP"},
	native:    binanceNative,
	subscribe: binanceSubscribe("bookTicker", "ticker", "aggTrade"),
	rotate:    23,
	parse:     binanceParse("binance-coinm:"),
}

// binanceStreams is how many streams one message asks for.
const binanceStreams = 200

func binanceSubscribe(streams ...string) func([]string) [][]byte {
	return func(native []string) (messages [][]byte) {
		var params []string
		for _, symbol := range native {
			for _, stream := range streams {
				params = append(params, `"`+strings.ToLower(symbol)+"@"+stream+`"`)
			}
		}
		for part := range slices.Chunk(params, binanceStreams) {
			messages = append(messages, fmt.Appendf(nil, `{"method":"SUBSCRIBE","params":[%s],"id":%d}`,
				strings.Join(part, ","), len(messages)+1))
		}
		return messages
	}
}

// binanceQuotes are the assets that symbols end in, longer before shorter.
var binanceQuotes = []string{
	"FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "USDS", "USD1", "BIDR", "BVND", "IDRT", "BKRW", "DAI", "PAX",
	"BTC", "ETH", "BNB", "TRX", "XRP", "DOT", "DOGE", "SOL", "VAI", "UST", "EUR", "GBP", "AUD", "TRY", "BRL", "RUB",
	"UAH", "NGN", "ZAR", "PLN", "RON", "ARS", "JPY", "MXN", "CZK", "COP", "IDR", "KZT", "USD", "U",
}

// binanceName splits BTCUSDT into BTC-USDT, and BTCUSD_PERP into BTC-USD-PERP.
func binanceName(native []byte) string {
	pair, contract, dated := strings.Cut(string(native), "_")
	for _, quote := range binanceQuotes {
		if base, ok := strings.CutSuffix(pair, quote); ok && base != "" {
			pair = base + "-" + quote
			break
		}
	}
	if dated {
		return pair + "-" + contract
	}
	return pair
}

// binanceNative is the way back.
func binanceNative(symbol string) string {
	base, rest, _ := strings.Cut(symbol, "-")
	return base + strings.ReplaceAll(rest, "-", "_")
}

func binanceParse(prefix string) func(*frame, []byte) error {
	return func(f *frame, raw []byte) error {
		v, err := f.json.ParseBytes(raw)
		if err != nil {
			return ErrFrame
		}
		if data := v.Get("data"); data != nil {
			v = data
		}
		if v.Type() != fastjson.TypeArray {
			return binanceOne(f, prefix, v)
		}
		all, _ := v.Array()
		if len(all) == 0 {
			return ErrFrame
		}
		for _, one := range all {
			if err := binanceOne(f, prefix, one); err != nil {
				return err
			}
		}
		return nil
	}
}

func binanceOne(f *frame, prefix string, v *fastjson.Value) error {
	name := v.GetStringBytes("e")
	switch string(name) {
	case "bookTicker":
		return binanceBook(f, prefix, v)
	case "24hrTicker":
		f.kind, f.name = kindData, "24hrTicker"
		return binanceStats(f, prefix, v)
	case "24hrMiniTicker":
		f.kind, f.name = kindData, "24hrMiniTicker"
		return binanceStats(f, prefix, v)
	case "trade":
		f.kind, f.name = kindData, "trade"
		return binanceTrade(f, prefix, v, chTrade, "t")
	case "aggTrade":
		f.kind, f.name = kindData, "aggTrade"
		return binanceTrade(f, prefix, v, chAggTrade, "a")
	case "depthUpdate", "kline", "markPriceUpdate", "forceOrder", "avgPrice":
		f.kind, f.name = kindIgnored, f.symbol("", name, func(b []byte) string { return string(b) })
		return nil
	case "serverShutdown":
		f.kind, f.name, f.event = kindControl, "serverShutdown", eventRotate
		return nil
	case "":
		return binanceUnnamed(f, prefix, v)
	}
	f.kind, f.name = kindIgnored, "unknown_event"
	return nil
}

// binanceUnnamed reads frames without an event name: spot's bookTicker, known by
// its keys, and answers.
func binanceUnnamed(f *frame, prefix string, v *fastjson.Value) error {
	switch {
	case v.Exists("u") && v.Exists("s") && v.Exists("b") && v.Exists("a"):
		return binanceBook(f, prefix, v)
	case v.Exists("code") || v.Exists("error"):
		f.kind, f.name = kindControl, "error"
		f.acks = append(f.acks, ack{err: v.String()})
	case v.Exists("result") || v.Exists("id"):
		f.kind, f.name = kindControl, "result"
	case v.Exists("lastUpdateId"):
		f.kind, f.name = kindIgnored, "depth"
	default:
		return ErrFrame
	}
	return nil
}

func binanceBook(f *frame, prefix string, v *fastjson.Value) error {
	f.kind, f.name = kindData, "bookTicker"
	t, err := binanceTick(f, prefix, v, chBook, "u")
	if err != nil {
		return err
	}
	return errors.Join(
		f.side(t, codec.Bid, codec.BidSize, v.Get("b"), v.Get("B")),
		f.side(t, codec.Ask, codec.AskSize, v.Get("a"), v.Get("A")),
	)
}

func binanceTrade(f *frame, prefix string, v *fastjson.Value, ch channel, order string) error {
	t, err := binanceTick(f, prefix, v, ch, order)
	if err != nil {
		return err
	}
	return errors.Join(f.put(t, codec.Last, v.Get("p")), f.put(t, codec.LastSize, v.Get("q")))
}

// binanceStats reads the day so far, of the full and of the mini ticker.
func binanceStats(f *frame, prefix string, v *fastjson.Value) error {
	t, err := binanceTick(f, prefix, v, chStats, "E")
	if err != nil {
		return err
	}
	return errors.Join(
		f.side(t, codec.Bid, codec.BidSize, v.Get("b"), v.Get("B")),
		f.side(t, codec.Ask, codec.AskSize, v.Get("a"), v.Get("A")),
		f.put(t, codec.Last, v.Get("c")),
		f.put(t, codec.LastSize, v.Get("Q")),
		f.put(t, codec.Open, v.Get("o")),
		f.put(t, codec.High, v.Get("h")),
		f.put(t, codec.Low, v.Get("l")),
		f.put(t, codec.VWAP, v.Get("w")),
		f.put(t, codec.Volume, v.Get("v")),
		f.put(t, codec.Turnover, v.Get("q")),
		f.count(t, codec.Trades, v.Get("n")),
	)
}

// binanceTick begins the tick of an event with its symbol, order and time.
func binanceTick(f *frame, prefix string, v *fastjson.Value, ch channel, order string) (*tick, error) {
	native := v.GetStringBytes("s")
	if len(native) == 0 {
		return nil, ErrFrame
	}
	t := f.add(f.symbol(prefix, native, binanceName), ch)
	t.order = v.GetInt64(order)
	return t, t.millis(v.Get("E"))
}
