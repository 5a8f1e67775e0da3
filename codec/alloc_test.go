package codec

import "testing"

// Everything on the path of a price allocates nothing.
func TestNothingOnThePathAllocates(t *testing.T) {
	u := image()
	d := Update{ID: 7, Seq: 9, Mask: 1<<Bid | 1<<BidSize | 1<<RecvTime, Quote: imageQuote}
	message, _ := data(sent1, u, d)
	entry := AppendTapeUpdate(nil, btc, &u)
	header := AppendEntry(nil, &Entry{ID: ID{1, 2}, Count: 1}, entry)
	subscribe := &Request{Op: OpSubscribe, ID: 2, Symbols: views(btc, "sim:A"), Fields: views("bid"), Rate: 5, HasRate: true}
	binary, text := AppendRequest(nil, subscribe), AppendRequestJSON(nil, subscribe)
	buf := make([]byte, 0, 4096)
	var m Message
	var r Request
	var out Update
	from := quoteOf(map[Field]int64{Bid: 618376, PriceScale: 1})
	price := []byte("61837.63000000")
	for name, f := range map[string]func(){
		"AppendUpdate":     func() { buf = AppendUpdate(buf[:0], &d) },
		"ParseUpdate":      func() { ParseUpdate(buf, &out) },
		"AppendUpdateJSON": func() { buf = AppendUpdateJSON(buf[:0], btc, &d) },
		"AppendDataHeader": func() { buf = AppendDataHeader(buf[:0], sent1, 2) },
		"ParseMessage":     func() { ParseMessage(message, &m) },
		"AppendTapeUpdate": func() { buf = AppendTapeUpdate(buf[:0], btc, &d) },
		"ParseTapeUpdate":  func() { ParseTapeUpdate(entry, &out) },
		"AppendEntry":      func() { buf = AppendEntry(buf[:0], &Entry{ID: ID{1, 2}}, entry) },
		"ParseEntry":       func() { ParseEntry(header) },
		"Apply":            func() { q := imageQuote; q.Apply(&from, 1<<Bid) },
		"SetText":          func() { q := imageQuote; q.SetText(Bid, price) },
		"ParseDecimal":     func() { ParseDecimal(price) },
		"AppendDecimal":    func() { buf = AppendDecimal(buf[:0], 6183763, 2) },
		"ParseRequest":     func() { ParseRequest(binary, &r) },
		"ParseRequestJSON": func() { ParseRequestJSON(text, &r) },
	} {
		f()
		if n := testing.AllocsPerRun(200, f); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAppendUpdate(b *testing.B) {
	d := Update{ID: 7, Seq: 9, Mask: 1<<Bid | 1<<BidSize | 1<<Ask | 1<<AskSize | 1<<RecvTime, Quote: imageQuote}
	buf := make([]byte, 0, 4096)
	for b.Loop() {
		buf = AppendUpdate(buf[:0], &d)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkAppendUpdateJSON(b *testing.B) {
	d := Update{ID: 7, Seq: 9, Mask: 1<<Bid | 1<<BidSize | 1<<Ask | 1<<AskSize | 1<<RecvTime, Quote: imageQuote}
	buf := make([]byte, 0, 4096)
	for b.Loop() {
		buf = AppendUpdateJSON(buf[:0], btc, &d)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkParseMessage(b *testing.B) {
	u := image()
	raw, _ := data(sent1, u, u, u, u)
	var m Message
	for b.Loop() {
		if err := ParseMessage(raw, &m); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(raw)))
}

func BenchmarkParseDecimal(b *testing.B) {
	price := []byte("61837.63000000")
	for b.Loop() {
		ParseDecimal(price)
	}
}

func BenchmarkApply(b *testing.B) {
	q, from := imageQuote, quoteOf(map[Field]int64{Bid: 61837631, Ask: 61837645, BidSize: 1, RecvTime: sent1, PriceScale: 3, SizeScale: 5})
	for b.Loop() {
		from[Bid] ^= 1
		q.Apply(&from, 1<<Bid|1<<Ask|1<<BidSize|1<<RecvTime)
	}
}

func BenchmarkSetText(b *testing.B) {
	price := []byte("61837.63")
	for b.Loop() {
		q := Empty
		q.SetText(Bid, price)
		q.SetText(Ask, price)
	}
}

func BenchmarkParseMessageJSON(b *testing.B) {
	u := image()
	_, text := data(sent1, u, u, u, u)
	var m Message
	for b.Loop() {
		if err := ParseMessageJSON(text, &m); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(text)))
}
