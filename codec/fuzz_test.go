package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// seed adds all vectors of a kind and encoding.
func seed(f *testing.F, kind, encoding string) {
	for _, file := range []string{"testdata/valid.json", "testdata/invalid.json"} {
		for _, v := range loadVectors(f, file) {
			if v.Kind == kind && v.Encoding == encoding {
				f.Add(v.bytes(f))
			}
		}
	}
}

// What a parser accepts, its append writes, and it reads the same again.

func FuzzParseMessage(f *testing.F) {
	seed(f, "message", "msgpack")
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m, again Message
		if ParseMessage(raw, &m) != nil || m.Type != TypeData {
			return
		}
		out := AppendDataHeader(nil, m.SentAt, len(m.Updates))
		for i := range m.Updates {
			out = AppendUpdate(out, &m.Updates[i])
		}
		if err := ParseMessage(out, &again); err != nil || len(again.Updates) != len(m.Updates) {
			t.Fatalf("%x -> %x: %v", raw, out, err)
		}
		for i := range m.Updates {
			if again.Updates[i] != m.Updates[i] {
				t.Fatalf("%x: %+v is read again as %+v", raw, m.Updates[i], again.Updates[i])
			}
		}
	})
}

func FuzzParseMessageJSON(f *testing.F) {
	seed(f, "message", "json")
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m, again Message
		if ParseMessageJSON(raw, &m) != nil || m.Type != TypeData {
			return
		}
		out := AppendDataHeaderJSON(nil, m.SentAt)
		for i := range m.Updates {
			if i > 0 {
				out = append(out, ',')
			}
			if m.Updates[i].Flags&Image == 0 {
				m.Updates[i].History = 0
			}
			out = AppendUpdateJSON(out, m.Symbols[i], &m.Updates[i])
		}
		out = AppendDataEndJSON(out)
		if err := ParseMessageJSON(out, &again); err != nil || !slices.Equal(again.Updates, m.Updates) || !slices.Equal(again.Symbols, m.Symbols) {
			t.Fatalf("%s -> %s: %v", raw, out, err)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	seed(f, "request", "msgpack")
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r, again Request
		if ParseRequest(raw, &r) != nil {
			return
		}
		if err := ParseRequest(AppendRequest(nil, &r), &again); err != nil || again.Op != r.Op || again.ID != r.ID || len(again.Symbols) != len(r.Symbols) {
			t.Fatalf("%x: %v", raw, err)
		}
	})
}

func FuzzParseRequestJSON(f *testing.F) {
	seed(f, "request", "json")
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r Request
		ParseRequestJSON(raw, &r)
	})
}

func FuzzParseEntry(f *testing.F) {
	seed(f, "entry", "msgpack")
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, body, err := ParseEntry(raw)
		if err != nil {
			return
		}
		var u Update
		for range min(e.Count, 1000) {
			symbol, rest, err := ParseTapeUpdate(body, &u)
			if err != nil {
				return
			}
			if len(symbol) == 0 || len(rest) >= len(body) {
				t.Fatal("no progress")
			}
			body = rest
		}
	})
}

func FuzzParseUpdate(f *testing.F) {
	u := image()
	f.Add(AppendUpdate(nil, &u))
	f.Fuzz(func(t *testing.T, raw []byte) {
		u := Update{Quote: Empty}
		rest, err := ParseUpdate(raw, &u)
		if err != nil {
			if !bytes.Equal(rest, raw) {
				t.Fatal("an error consumed bytes")
			}
			return
		}
		again := Update{Quote: Empty}
		if _, err := ParseUpdate(AppendUpdate(nil, &u), &again); err != nil || again != u {
			t.Fatalf("%x: %+v, %+v, %v", raw, u, again, err)
		}
	})
}

// Ensure that any decoder of msgpack reads our updates as we mean them.
func TestUpdatesAreMsgpack(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		u := Update{ID: r.Uint32(), Seq: r.Int64N(MaxInt), Mask: Mask(r.Uint32()) & AllFields, Quote: Empty}
		want := []int64{int64(u.ID), u.Seq, 0, int64(u.Mask)}
		for f := Field(0); f < NumFields; f++ {
			if u.Mask.Has(f) {
				u.Quote[f] = (r.Int64N(2*MaxInt) - MaxInt) >> r.IntN(53)
				want = append(want, u.Quote[f])
			}
		}
		raw := AppendUpdate(nil, &u)
		var got []int64
		if err := msgpack.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%x: %v, want %v", raw, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%x: %v, want %v", raw, got, want)
			}
		}
	}
}

// A float is no integer, whole or not; languages without the difference cannot check it.
func TestFloatIsNoID(t *testing.T) {
	raw, _ := hex.DecodeString("82a26f70a470696e67a26964cb3ff0000000000000")
	var r Request
	if err := ParseRequest(raw, &r); !errors.Is(err, ErrRange) {
		t.Errorf("id 1.0 is %d: %v", r.ID, err)
	}
}

// Five bytes that claim four billion elements must not cost memory.
func TestHugeLengthsCostNothing(t *testing.T) {
	for _, text := range []string{"ddffffffff", "dfffffffff", "dbffffffff", "92dd7fffffff01", "9201dfffffffff", "9201dbffffffff"} {
		raw, _ := hex.DecodeString(text)
		var m Message
		var r Request
		if n := testing.AllocsPerRun(10, func() {
			ParseMessage(raw, &m)
			ParseRequest(raw, &r)
			ParseEntry(raw)
		}); n > 10 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}
