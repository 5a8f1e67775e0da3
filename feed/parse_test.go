package feed

import (
	"testing"
)

// parseFrames are one frame of each kind that comes in masses.
var parseFrames = []struct{ name, venue, raw string }{
	{"coinbase ticker", "coinbase", `{"type":"ticker","sequence":700000000017,"product_id":"BTC-USD","price":"64011.25","open_24h":"63120.4","volume_24h":"5120.73586321","low_24h":"62889","high_24h":"64400.01","volume_30d":"261517.66959213","best_bid":"64011.24","best_bid_size":"0.20495031","best_ask":"64011.25","best_ask_size":"0.49546688","side":"buy","time":"2026-11-02T13:53:06.170361Z","trade_id":1008094628,"last_size":"0.0003128"}`},
	{"kraken ticker", "kraken", `{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":63297.7,"bid_qty":5.75119051,"ask":63297.8,"ask_qty":0.36977971,"last":63297.8,"volume":1020.88387727,"vwap":63685.7,"low":63250,"high":64409.2,"change":0.7,"change_pct":0,"trades":47535,"timestamp":"2026-08-12T19:29:00.921195Z"}]}`},
	{"kraken trade", "kraken", `{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":63744.3,"qty":0.00044780,"ord_type":"limit","trade_id":109116693,"timestamp":"2026-09-25T17:48:26.844359Z"}]}`},
	{"binance bookTicker", "binance", `{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}`},
	{"binance 24hrTicker", "binance", `{"stream":"ethusdt@ticker","data":{"e":"24hrTicker","E":1783812650349,"s":"ETHUSDT","p":"28.23000000","P":"1.600","w":"1781.16275609","x":"1764.61000000","c":"1792.84000000","Q":"0.55720000","b":"1792.83000000","B":"1.62740000","a":"1792.84000000","A":"20.29140000","o":"1764.61000000","h":"1808.98000000","l":"1748.94000000","v":"471703.53110000","q":"840180761.51358100","O":1783726250344,"C":1783812650344,"F":841094172,"L":841646650,"n":552479}}`},
	{"binance trade", "binance", `{"stream":"btcusdt@trade","data":{"e":"trade","E":1783161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1783161255342,"m":true,"M":true}}`},
}

// Ensure that a frame costs no allocation once its symbols are known.
func TestParseAllocates(t *testing.T) {
	for _, c := range parseFrames {
		v, raw := venues[c.venue], []byte(c.raw)
		f := newFrame(v)
		if n := testing.AllocsPerRun(100, func() {
			if err := v.parse(f, raw); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range parseFrames {
		b.Run(c.name, func(b *testing.B) {
			v, raw := venues[c.venue], []byte(c.raw)
			f := newFrame(v)
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if err := v.parse(f, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
