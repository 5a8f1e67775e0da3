package codec

import (
	"encoding/hex"
	"strings"
)

// The vectors' cast: one symbol with real figures, at real times.
const (
	btc      = "binance:BTC-USDT"
	history1 = 1723161252673
	history2 = 1723161999000
	sent1    = 1723161254087898
	server1  = 0x1f3a55c0de417
)

// quoteOf makes a full quote of 61837.63 and its like.
func quoteOf(set map[Field]int64) (q Quote) {
	q = Empty
	for f, v := range set {
		q[f] = v
	}
	return q
}

var (
	imageQuote = quoteOf(map[Field]int64{
		Bid: 6183763, BidSize: 378826, Ask: 6183764, AskSize: 154698, Status: Live,
		RecvTime: 1723161254087891, PriceScale: 2, SizeScale: 5,
	})
	imageMask  = imageQuote.Present()
	finerQuote = quoteOf(map[Field]int64{
		Bid: 61837635, BidSize: 378826, Ask: 61837640, AskSize: Absent, Status: Live,
		RecvTime: 1723161254091857, PriceScale: 3, SizeScale: 5,
	})
)

// data is a data message in both encodings.
func data(sentAt int64, updates ...Update) (msgpack []byte, text []byte) {
	msgpack = AppendDataHeader(nil, sentAt, len(updates))
	text = AppendDataHeaderJSON(nil, sentAt)
	for i := range updates {
		msgpack = AppendUpdate(msgpack, &updates[i])
		if i > 0 {
			text = append(text, ',')
		}
		text = AppendUpdateJSON(text, btc, &updates[i])
	}
	return msgpack, AppendDataEndJSON(text)
}

func both(name, kind string, msgpack, text []byte) []vector {
	return []vector{
		{Name: name, Kind: kind, Encoding: "msgpack", Hex: hex.EncodeToString(msgpack)},
		{Name: name, Kind: kind, Encoding: "json", Text: string(text)},
	}
}

func image() Update {
	return Update{ID: 7, Seq: history1 + 1, Flags: Image, Mask: imageMask, History: history1, Quote: imageQuote}
}

func validVectors() (all []vector) {
	add := func(name string, updates ...Update) {
		m, j := data(sent1, updates...)
		all = append(all, both(name, "message", m, j)...)
	}
	add("data_image", image())
	add("data_delta", Update{ID: 7, Seq: history1 + 2, Mask: 1<<BidSize | 1<<RecvTime, Quote: imageQuote})
	add("data_scale_change", Update{ID: 7, Seq: history1 + 3, Mask: 1<<Bid | 1<<Ask | 1<<AskSize | 1<<RecvTime | 1<<PriceScale, Quote: finerQuote})
	add("data_conflated_rate", Update{ID: 7, Seq: history1 + 9, Flags: Conflated | ReasonRate, Mask: 1 << Bid, Quote: imageQuote})
	add("data_conflated_slow_gap", Update{ID: 7, Seq: history1 + 9, Flags: Conflated | ReasonSlow | Gap, Mask: 1 << Bid, Quote: imageQuote})
	add("data_conflated_catch_up", Update{ID: 7, Seq: history1 + 9, Flags: Conflated | ReasonCatchUp, Mask: 1 << Bid, Quote: imageQuote})
	add("data_negative", Update{ID: 1, Seq: 5, Mask: 1<<Last | 1<<PriceScale, Quote: quoteOf(map[Field]int64{Last: -3763, PriceScale: 2})})
	add("data_extremes", Update{ID: 1<<32 - 1, Seq: MaxInt, Mask: 1<<Last | 1<<Low | 1<<Trades | 1<<PriceScale,
		Quote: quoteOf(map[Field]int64{Last: MaxInt, Low: -MaxInt, Trades: 0, PriceScale: MaxScale})})
	add("data_every_field", Update{ID: 3, Seq: 77, Flags: Image, History: 70, Mask: AllFields, Quote: Quote{
		1, 20, 300, 4000, 50000, 600000, 7000000, 80000000, 9, 10, 11, 12, 13, Halted, sent1, sent1 + 1, 0, 3, 6}})
	add("data_none")
	add("data_two", image(), Update{ID: 8, Seq: 4, Mask: 1 << Status, Quote: quoteOf(map[Field]int64{Status: Stale})})
	ttl := int64(3600)
	rate, id, matched := 5.0, uint32(7), 2
	hello := &Hello{Protocol: Version, Node: "node-1", Time: sent1, Fields: FieldNames[:], Heartbeat: 5000, Periods: []int64{0, 20, 1000},
		Limits: Limits{65536, 4096, 10000, 50}}
	all = append(all, both("hello", "message", AppendControl(nil, hello), AppendControlJSON(nil, hello))...)
	hello.TokenTTL = &ttl
	all = append(all, both("hello_token", "message", AppendControl(nil, hello), AppendControlJSON(nil, hello))...)
	reply := &Reply{ID: 1, Op: OpSubscribe, Rate: &rate, Fields: 1<<Bid | 1<<PriceScale, Results: []Result{
		{Symbol: btc, ID: &id}, {Symbol: "sim:*", Matched: &matched},
		{Symbol: "sim:NOPE", Error: NewError(nil, CodeUnknownSymbol, "not on the board; it may appear later")},
	}}
	all = append(all, both("reply", "message", AppendControl(nil, reply), AppendControlJSON(nil, reply))...)
	ping := &Reply{ID: 2, Op: OpPing, Time: sent1}
	all = append(all, both("reply_ping", "message", AppendControl(nil, ping), AppendControlJSON(nil, ping))...)
	auth := &Reply{ID: 5, Op: OpAuth, TokenTTL: &ttl, Results: []Result{
		{Symbol: "sim:*", Error: NewError(nil, CodeNotAllowed, "the token does not cover it")},
		{Symbol: "sim:ACORN-USD", Error: NewError(nil, CodeTooManySubs, "at most 1 on one connection")},
		{Symbol: btc, ID: &id, Rate: &rate, Fields: 1<<Bid | 1<<PriceScale},
	}}
	all = append(all, both("reply_auth", "message", AppendControl(nil, auth), AppendControlJSON(nil, auth))...)
	beat := &Heartbeat{Time: sent1, Subs: 1, Hash: SymbolHash(btc)}
	all = append(all, both("heartbeat", "message", AppendControl(nil, beat), AppendControlJSON(nil, beat))...)
	lag := &Lag{BlockedMS: 1234}
	all = append(all, both("lag", "message", AppendControl(nil, lag), AppendControlJSON(nil, lag))...)
	drain := &Drain{WithinMS: 5000}
	all = append(all, both("drain", "message", AppendControl(nil, drain), AppendControlJSON(nil, drain))...)
	of := int64(9)
	e := NewError(&of, CodeBadRate, "-1 updates a second")
	all = append(all, both("error", "message", AppendControl(nil, e), AppendControlJSON(nil, e))...)
	refused := NewError(&of, CodeTokenRefused, "it is of another sub: connect anew")
	all = append(all, both("error_token", "message", AppendControl(nil, refused), AppendControlJSON(nil, refused))...)
	all = append(all, both("unknown_type", "message", []byte{0x92, 0x63, 0x80}, []byte(`{"type":"weather","rain":true}`))...)
	// 20 bits: the last is of a field that a newer server has.
	all = append(all, vector{Name: "unknown_field_of_mask", Kind: "message", Encoding: "msgpack", Hex: "9300019607050" + "0ce000800010a0b"})
	all = append(all, vector{Name: "wide_integers", Kind: "message", Encoding: "msgpack", Hex: "93cc00d30000000000000001" + "95ce00000007cf0000000000000005d00" + "0cd0001d3fffffffffffffff6"})
	return append(append(all, requestVectors()...), entryVectors()...)
}

func requestVectors() (all []vector) {
	for name, r := range map[string]*Request{
		"request_ping":        {Op: OpPing, ID: 1},
		"request_subscribe":   {Op: OpSubscribe, ID: 2, Symbols: views(btc, "coinbase:*"), Fields: views("bid", "ask"), Rate: 2.5, HasRate: true, Resume: []Position{{[]byte(btc), history1, history1 + 2}}},
		"request_unsubscribe": {Op: OpUnsubscribe, ID: 3, Symbols: views(btc)},
		"request_set":         {Op: OpSet, ID: 4, Symbols: views(btc), Rate: 0, HasRate: true},
		"request_auth":        {Op: OpAuth, ID: 5, Token: []byte("a.b.c")},
		"request_list":        {Op: OpList, ID: MaxInt},
	} {
		all = append(all, both(name, "request", AppendRequest(nil, r), AppendRequestJSON(nil, r))...)
	}
	// A map's order is chance.
	for i := range all {
		for j := range all[:i] {
			if all[i].Name+all[i].Encoding < all[j].Name+all[j].Encoding {
				all[i], all[j] = all[j], all[i]
			}
		}
	}
	return append(all, vector{Name: "request_unknown_key", Kind: "request", Encoding: "json", Text: `{"op":"ping","id":1,"later":{"a":[1,2,{"b":null}]}}`})
}

func entryVectors() []vector {
	epoch := int64(history1)
	beat := Entry{ID: ID{epoch, 5}, Prev: ID{epoch, 4}, History: epoch, SentAt: sent1, Server: server1}
	u := image()
	delta := Update{Seq: history1 + 2, Mask: 1<<BidSize | 1<<RecvTime, Quote: imageQuote}
	body := AppendTapeUpdate(AppendTapeUpdate(nil, btc, &u), btc, &delta)
	full := Entry{ID: ID{epoch, 6}, Prev: ID{epoch, 5}, History: epoch, SentAt: sent1, Server: server1, Count: 2}
	fence := Entry{ID: ID{history2, 0}, Prev: ID{epoch, 6}, SentAt: sent1}
	one := func(name string, raw []byte) vector {
		return vector{Name: name, Kind: "entry", Encoding: "msgpack", Hex: hex.EncodeToString(raw)}
	}
	return []vector{
		one("entry_heartbeat", AppendEntry(nil, &beat, nil)),
		one("entry_updates", AppendEntry(nil, &full, body)),
		one("entry_fence", AppendEntry(nil, &fence, nil)),
	}
}

func views(texts ...string) (all [][]byte) {
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

// invalidVectors are the ways in which bytes can be wrong.
func invalidVectors() (all []vector) {
	bin := func(kind, name, class, hexes string) {
		all = append(all, vector{Name: name, Kind: kind, Encoding: "msgpack", Hex: strings.ReplaceAll(hexes, " ", ""), Error: class})
	}
	text := func(kind, name, class, text string) {
		all = append(all, vector{Name: name, Kind: kind, Encoding: "json", Text: text, Error: class})
	}
	bin("message", "empty", "truncated", "")
	bin("message", "not_an_array", "type", "01")
	bin("message", "one_element", "count", "91 00")
	bin("message", "type_is_text", "type", "92 a130 01")
	bin("message", "type_is_nil", "type", "92 c0 01")
	bin("message", "type_is_negative", "range", "92 ff 01")
	bin("message", "sent_at_is_nil", "type", "92 00 c0")
	bin("message", "sent_at_is_a_fraction", "type", "92 00 cb3ff8000000000000")
	bin("message", "sent_at_beyond_53_bits", "range", "92 00 cf0020000000000000")
	bin("message", "update_is_a_number", "type", "93 00 01 07")
	bin("message", "update_of_three", "count", "93 00 01 93 07 05 00")
	bin("message", "cut_in_a_value", "truncated", "93 00 01 95 07 05 00 01 cd 10")
	bin("message", "cut_before_an_update", "truncated", "93 00 01")
	bin("message", "mask_says_more", "count", "93 00 01 95 07 05 00 03 0a")
	bin("message", "mask_says_less", "count", "93 00 01 96 07 05 00 01 0a 0b")
	bin("message", "image_without_history", "count", "93 00 01 95 07 05 01 01 0a")
	bin("message", "id_is_negative", "range", "93 00 01 95 ff 05 00 01 0a")
	bin("message", "seq_is_negative", "range", "93 00 01 95 07 ff 00 01 0a")
	bin("message", "seq_beyond_53_bits", "range", "93 00 01 95 07 cfffffffffffffffff 00 01 0a")
	bin("message", "value_beyond_53_bits", "range", "93 00 01 95 07 05 00 01 cf0020000000000000")
	bin("message", "value_is_text", "type", "93 00 01 95 07 05 00 01 a131")
	bin("message", "value_is_a_fraction", "type", "93 00 01 95 07 05 00 01 cb3ff8000000000000")
	bin("message", "mask_beyond_32_bits", "range", "93 00 01 95 07 05 00 cf0000000100000000 0a")
	bin("message", "status_is_negative", "range", "93 00 01 95 07 05 00 cd2000 ff")
	bin("message", "price_scale_is_16", "range", "93 00 01 96 07 05 00 ce00010001 0a 10")
	bin("message", "size_scale_is_negative", "range", "93 00 01 95 07 05 00 ce00020000 ff")
	bin("message", "trailing_byte", "trailing", "92 00 01 00")
	bin("message", "array_of_4_billion", "truncated", "dd ffffffff")
	bin("message", "hello_is_an_array", "type", "92 01 90")
	text("message", "not_json", "syntax", `{"type":`)
	text("message", "json_number_with_zero", "syntax", `{"type":"data","sent_at":01,"updates":[]}`)
	text("message", "json_escape_unknown", "syntax", `{"type":"data","sent_at":1,"updates":[],"x":"\x"}`)
	text("message", "json_is_an_array", "type", `[]`)
	text("message", "json_without_type", "type", `{"sent_at":1}`)
	text("message", "json_sent_at_text", "type", `{"type":"data","sent_at":"1","updates":[]}`)
	text("message", "json_updates_missing", "type", `{"type":"data","sent_at":1}`)
	text("message", "json_update_without_symbol", "type", `{"type":"data","sent_at":1,"updates":[{"seq":1}]}`)
	text("message", "json_symbol_without_venue", "range", `{"type":"data","sent_at":1,"updates":[{"symbol":"BTC-USD","seq":1}]}`)
	text("message", "json_symbol_without_name", "range", `{"type":"data","sent_at":1,"updates":[{"symbol":"sim:","seq":1}]}`)
	text("message", "json_symbol_is_a_pattern", "range", `{"type":"data","sent_at":1,"updates":[{"symbol":"sim:A*","seq":1}]}`)
	text("message", "json_seq_negative", "range", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":-1}]}`)
	text("message", "json_decimal_is_a_number", "type", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"bid":1.5}]}`)
	text("message", "json_decimal_malformed", "syntax", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"bid":"1.2.3"}]}`)
	text("message", "json_decimal_too_long", "range", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"bid":"90071992547409.92"}]}`)
	text("message", "json_decimal_exponent", "syntax", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"bid":"1.5e3"}]}`)
	text("message", "json_decimal_without_whole", "syntax", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"bid":".5"}]}`)
	text("message", "json_decimal_16_decimals", "range", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"bid":"0.0000000000000000"}]}`)
	text("message", "json_decimals_differ", "syntax", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"bid":"1.0","ask":"1.00"}]}`)
	text("message", "json_decimals_not_of_scale", "syntax", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"bid":"1.00","price_scale":3}]}`)
	text("message", "json_scale_not_of_decimals", "syntax", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"size_scale":0,"bid_size":"1.0"}]}`)
	text("message", "json_scale_null_with_decimals", "syntax", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"price_scale":null,"bid":"1"}]}`)
	text("message", "json_scale_is_16", "range", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"price_scale":16}]}`)
	text("message", "json_scale_is_negative", "range", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"volume_scale":-1}]}`)
	text("message", "json_status_unknown", "type", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"status":"asleep"}]}`)
	text("message", "json_image_is_a_number", "type", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"image":1}]}`)
	text("message", "json_reason_unknown", "type", `{"type":"data","sent_at":1,"updates":[{"symbol":"a:b","seq":1,"conflated":"bored"}]}`)
	bin("request", "request_is_an_array", "type", "90")
	bin("request", "request_trailing", "trailing", "81 a26f70 a470696e67 00")
	bin("request", "request_key_is_a_number", "type", "81 01 02")
	bin("request", "request_cut", "truncated", "81 a26f70 a470")
	bin("request", "request_map_of_4_billion", "truncated", "df ffffffff")
	bin("request", "request_deep", "type", "81 a161 91 91 91 91 91 91 91 91 91 91 01")
	text("request", "request_deep_json", "type", `{"op":"ping","x":"\"[","y":[[[[[[[[1]]]]]]]]}`)
	bin("request", "request_text_not_utf8", "syntax", "81 a26f70 a1ff")
	bin("request", "request_id_is_a_fraction", "range", "82 a26f70 a470696e67 a26964 cb3ff8000000000000")
	text("request", "request_not_json", "syntax", `{`)
	text("request", "request_number_with_zero", "syntax", `{"op":"ping","id":01}`)
	text("request", "request_number_without_whole", "syntax", `{"op":"subscribe","symbols":["sim:A"],"rate":.5}`)
	text("request", "request_rate_inf", "syntax", `{"op":"subscribe","symbols":["sim:A"],"rate":inf}`)
	text("request", "request_rate_beyond_floats", "range", `{"op":"subscribe","symbols":["sim:A"],"rate":1e999}`)
	text("request", "request_control_character", "syntax", "{\"op\":\"auth\",\"token\":\"a\tb\"}")
	text("request", "request_without_op", "type", `{"id":1}`)
	text("request", "request_unknown_op", "unknown_op", `{"op":"dance","id":1}`)
	text("request", "request_op_is_a_number", "type", `{"op":1}`)
	text("request", "request_id_is_text", "type", `{"op":"ping","id":"1"}`)
	text("request", "request_id_negative", "range", `{"op":"ping","id":-1}`)
	text("request", "request_id_fraction", "range", `{"op":"ping","id":1.5}`)
	text("request", "request_symbols_is_text", "type", `{"op":"subscribe","id":1,"symbols":"sim:A"}`)
	text("request", "request_symbol_is_a_number", "type", `{"op":"subscribe","id":1,"symbols":[1]}`)
	text("request", "request_rate_is_text", "type", `{"op":"subscribe","id":1,"symbols":["sim:A"],"rate":"1"}`)
	text("request", "request_resume_of_two", "count", `{"op":"subscribe","id":1,"symbols":["sim:A"],"resume":[["sim:A",1]]}`)
	text("request", "request_resume_seq_is_text", "type", `{"op":"subscribe","id":1,"symbols":["sim:A"],"resume":[["sim:A",1,"2"]]}`)
	bin("entry", "entry_empty", "truncated", "")
	bin("entry", "entry_version_1", "version", "99 01 01 00 00 00 01 01 00 00")
	bin("entry", "entry_of_eight", "count", "98 02 01 00 00 00 01 01 00")
	bin("entry", "entry_cut", "truncated", "99 02 01 00 00 00 01 01 00 01")
	bin("entry", "entry_trailing", "trailing", "99 02 01 00 00 00 01 01 00 00 00")
	bin("entry", "entry_symbol_is_a_number", "type", "99 02 01 00 00 00 01 01 00 01 95 07 05 00 01 0a")
	bin("entry", "entry_symbol_without_venue", "range", "99 02 01 00 00 00 01 01 00 01 95 a3425443 05 00 01 0a")
	bin("entry", "entry_scale_is_16", "range", "99 02 01 00 00 00 01 01 00 01 95 a3613a62 05 00 ce00010000 10")
	bin("entry", "entry_status_negative", "range", "99 02 01 00 00 00 01 01 00 01 95 a3613a62 05 00 cd2000 ff")
	bin("entry", "entry_symbol_empty", "range", "99 02 01 00 00 00 01 01 00 01 95 a0 05 00 01 0a")
	return all
}
