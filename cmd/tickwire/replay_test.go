package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// recordings are real sessions beside the repository, where they are.
const recordings = root + "/../shared/data"

// plain is a quote computed from a file by means of its own: JSON numbers and
// strings as they came, no codec.
type plain map[string]*big.Rat

// plainQuotes computes what every symbol must end up as, and counts nothing else.
func plainQuotes(t *testing.T, file, venue string) map[string]plain {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	quotes := map[string]plain{}
	nearer := map[string]bool{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		part := strings.SplitN(lines.Text(), "\t", 3)
		of := venue
		switch part[1] {
		case "O":
			continue
		case "binance_spot":
			of = "binance"
		case "binance_usdm", "binance_coinm":
			of = strings.Replace(part[1], "_", "-", 1)
		}
		dec := json.NewDecoder(strings.NewReader(part[2]))
		dec.UseNumber()
		var frame any
		if err := dec.Decode(&frame); err != nil {
			t.Fatal(err)
		}
		recv, _ := strconv.ParseInt(part[0], 10, 64)
		eachMessage(of, frame, func(symbol string, mask map[string]any) {
			q := quotes[symbol]
			if q == nil {
				q = plain{}
				quotes[symbol] = q
			}
			if q.merge(symbol, mask, nearer) && recv > 0 {
				q["recv_time"] = new(big.Rat).SetInt64(recv / 1000)
			}
		})
	}
	for _, q := range quotes {
		q.drop()
	}
	return quotes
}

// drop leaves volume and turnover, which share a scale, the decimals that 53 bits hold
// of both: PROTOCOL.md section 2.
func (q plain) drop() {
	most := new(big.Rat).SetInt64(1<<53 - 1)
	for scale := int64(15); scale >= 0; scale-- {
		unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(scale), nil))
		fits, cut := true, plain{}
		for _, name := range []string{"volume", "turnover"} {
			if q[name] == nil {
				continue
			}
			v := new(big.Rat).Mul(q[name], unit)
			fits = fits && v.Cmp(most) <= 0
			cut[name] = new(big.Rat).Quo(new(big.Rat).SetInt(new(big.Int).Quo(v.Num(), v.Denom())), unit)
		}
		if fits {
			for name, v := range cut {
				q[name] = v
			}
			return
		}
	}
}

// merge sets fields and reports whether anything changed.
func (q plain) merge(symbol string, mask map[string]any, nearer map[string]bool) (changed bool) {
	stats := mask["stats"] != nil
	for _, kind := range []string{"book", "trade"} {
		if mask[kind] != nil {
			nearer[symbol+kind] = true
		}
	}
	for name, v := range mask {
		text := fmt.Sprint(v)
		if v == nil || text == "" || v == true {
			continue
		}
		if stats && (nearer[symbol+"book"] && strings.Contains("bid bid_size ask ask_size", name) ||
			nearer[symbol+"trade"] && strings.Contains("last last_size", name)) {
			continue
		}
		value, ok := new(big.Rat).SetString(text)
		if !ok {
			panic(text)
		}
		if old := q[name]; old == nil || old.Cmp(value) != 0 && (name != "event_time" || old.Cmp(value) < 0) {
			q[name], changed = value, true
		}
	}
	return changed
}

// eachMessage finds the messages of a frame and says what each sets.
func eachMessage(venue string, frame any, set func(symbol string, mask map[string]any)) {
	if list, ok := frame.([]any); ok {
		for _, one := range list {
			eachMessage(venue, one, set)
		}
		return
	}
	m, ok := frame.(map[string]any)
	if !ok {
		return
	}
	switch {
	case venue == "coinbase":
		if m["type"] == "ticker" || m["type"] == "match" {
			size := m["last_size"]
			if m["type"] == "match" {
				size = m["size"]
			}
			set("coinbase:"+m["product_id"].(string), map[string]any{
				"last": m["price"], "last_size": size, "open": m["open_24h"], "high": m["high_24h"], "low": m["low_24h"], "volume": m["volume_24h"],
				"bid": m["best_bid"], "bid_size": m["best_bid_size"], "ask": m["best_ask"], "ask_size": m["best_ask_size"], "event_time": micros(m["time"]),
			})
		}
	case venue == "kraken":
		data, _ := m["data"].([]any)
		for _, one := range data {
			d, _ := one.(map[string]any)
			switch m["channel"] {
			case "ticker":
				set("kraken:"+strings.Replace(d["symbol"].(string), "/", "-", 1), map[string]any{
					"bid": d["bid"], "bid_size": d["bid_qty"], "ask": d["ask"], "ask_size": d["ask_qty"], "last": d["last"], "high": d["high"], "low": d["low"],
					"vwap": d["vwap"], "volume": d["volume"], "trades": d["trades"], "event_time": micros(d["timestamp"]),
				})
			case "trade":
				set("kraken:"+strings.Replace(d["symbol"].(string), "/", "-", 1), map[string]any{
					"last": d["price"], "last_size": d["qty"], "event_time": micros(d["timestamp"]),
				})
			}
		}
	case m["data"] != nil:
		eachMessage(venue, m["data"], set)
	default:
		binanceMessage(venue, m, set)
	}
}

func binanceMessage(venue string, m map[string]any, set func(string, map[string]any)) {
	native, _ := m["s"].(string)
	var mask map[string]any
	switch m["e"] {
	case "bookTicker":
		mask = map[string]any{"book": true, "bid": m["b"], "bid_size": m["B"], "ask": m["a"], "ask_size": m["A"]}
	case nil:
		if m["u"] == nil || m["s"] == nil {
			return
		}
		mask = map[string]any{"book": true, "bid": m["b"], "bid_size": m["B"], "ask": m["a"], "ask_size": m["A"]}
	case "trade", "aggTrade":
		mask = map[string]any{"trade": true, "last": m["p"], "last_size": m["q"]}
	case "24hrTicker", "24hrMiniTicker":
		mask = map[string]any{"stats": true, "bid": m["b"], "bid_size": m["B"], "ask": m["a"], "ask_size": m["A"], "last": m["c"], "last_size": m["Q"],
			"open": m["o"], "high": m["h"], "low": m["l"], "vwap": m["w"], "volume": m["v"], "turnover": m["q"], "trades": m["n"]}
	default:
		return
	}
	if ms, ok := m["E"].(json.Number); ok {
		mask["event_time"] = string(ms) + "000"
	}
	pair, contract, _ := strings.Cut(native, "_")
	for _, quote := range strings.Fields("FDUSD USDT USDC BUSD TUSD BIDR IDRT BKRW DAI PAX BTC ETH BNB TRX XRP DOT DOGE EUR GBP AUD TRY BRL RUB UAH NGN VAI UST BVND USD") {
		if base, ok := strings.CutSuffix(pair, quote); ok && base != "" {
			pair = base + "-" + quote
			break
		}
	}
	if contract != "" {
		pair += "-" + contract
	}
	set(venue+":"+pair, mask)
}

func micros(v any) any {
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Year() < 1971 {
		return nil
	}
	return strconv.FormatInt(at.UnixMicro(), 10)
}

// compare says in what quotes as JSON differ from the plain ones; "" in nothing.
func compare(got map[string]map[string]any, want map[string]plain) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d symbols, want %d", len(got), len(want))
	}
	for symbol, q := range want {
		fields := 0
		for name, v := range got[symbol] {
			if name == "seq" || name == "status" || strings.HasSuffix(name, "_scale") {
				continue
			}
			fields++
			text, isText := v.(string)
			if !isText {
				text = strconv.FormatFloat(v.(float64), 'f', -1, 64)
			}
			value, ok := new(big.Rat).SetString(text)
			if !ok || q[name] == nil || value.Cmp(q[name]) != 0 {
				return fmt.Sprintf("%s %s is %v, want %v", symbol, name, text, q[name])
			}
		}
		if fields != len(q) {
			return fmt.Sprintf("%s has %d fields, want %d", symbol, fields, len(q))
		}
	}
	return ""
}

// Every symbol's final quote, as held by a msgpack client, a JSON client and the
// snapshot, is what the file says, decimal for decimal.
func TestRecordedSessionsEndRight(t *testing.T) {
	files := map[string]string{
		"replay/binance_6streams_20240808_part1.frames.tsv.gz":                          "",
		"replay/binance_6streams_20240808_part2.frames.tsv.gz":                          "",
		"replay/binance_6streams_20240808_part3.frames.tsv.gz":                          "",
		"binance/spot_combined_bookTicker_aggTrade_depth_20210405.frames.tsv":           "binance",
		"binance/spot_combined_bookTicker_aggTrade_depth_20211012.frames.tsv":           "binance",
		"binance/usdm_futures_combined_20210722.frames.tsv":                             "binance-usdm",
		"binance/coinm_futures_combined_20210722.frames.tsv":                            "binance-coinm",
		"binance/raw_stream_unwrapped_bookTicker_miniTicker_ccxt_2026.frames.tsv":       "binance",
		"binance/ticker24h_fixtures_cryptomsgparser_2022.frames.tsv":                    "binance",
		"binance/ticker24h_miniticker_all_market_arrays_unicornfy_2020_2022.frames.tsv": "binance",
		"coinbase/exchange_session_6products_20210417.frames.tsv":                       "coinbase",
		"kraken/v2_ticker_trade_book_small_2026.frames.tsv":                             "kraken",
	}
	for file, venue := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(recordings, file)
			if _, err := os.Stat(path); err != nil {
				t.Skip("the recording is not here: " + file)
			}
			want := plainQuotes(t, path, venue)
			port := tapetest.Port(t)
			args := []string{"up", "--listen", "127.0.0.1:" + port, "--metrics", "off", "--replay", path, "--speed", "max"}
			if venue != "" {
				args = append(args, "--venue", venue)
			}
			up := tickwire(t, args...)
			msgpack, text := startWatch(t, port, "*"), startWatch(t, port, "--encoding", "json", "*")
			within(t, 60*time.Second, "the replay ends", func() bool { return strings.Contains(up.text(), "replayed") })
			snapshot := func() map[string]map[string]any {
				var s struct{ Symbols map[string]map[string]any }
				get("http://127.0.0.1:"+port+"/v1/snapshot", &s)
				for _, quote := range s.Symbols {
					delete(quote, "history") // its number is the feed's, not the file's
				}
				return s.Symbols
			}
			for name, quotes := range map[string]func() map[string]map[string]any{"snapshot": snapshot, "msgpack": msgpack.held, "json": text.held} {
				last := ""
				for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
					if last = compare(quotes(), want); last == "" {
						break
					}
				}
				if last != "" {
					t.Errorf("%s: %s", name, last)
				}
			}
			for _, w := range []*watcher{msgpack, text} {
				for _, line := range w.back {
					t.Error(line)
				}
			}
			if code, took := up.stop(interrupt); code != 0 || took > time.Second {
				t.Errorf("ctrl-C: exit code %d after %v", code, took)
			}
		})
	}
}

// held copies what the watcher holds.
func (w *watcher) held() map[string]map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]map[string]any{}
	for symbol, q := range w.quotes {
		c := map[string]any{}
		for name, v := range q {
			c[name] = v
		}
		out[symbol] = c
	}
	return out
}
