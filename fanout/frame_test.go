package fanout

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/gobwas/ws"
)

// The header parser agrees with gobwas/ws wherever it accepts.
func TestParseHeaderAgreesWithGobwas(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		var raw [14]byte
		for i := range raw {
			raw[i] = byte(r.Uint32())
		}
		ours, rest, err := (&parser{most: limitBytesMost}).header(raw[:])
		theirs, theirErr := ws.ReadHeader(bytes.NewReader(raw[:]))
		if err != nil {
			// Stricter in one thing: a length must be in its shortest form.
			if !errors.Is(err, errLength) && theirErr == nil {
				t.Fatalf("% x: we say %v", raw, err)
			}
			continue
		}
		if theirErr != nil || ours != theirs {
			t.Fatalf("% x: %+v, want %+v (%v)", raw, ours, theirs, theirErr)
		}
		if n := ws.HeaderSize(theirs); len(raw)-len(rest) != n {
			t.Fatalf("% x: %d bytes, want %d", raw, len(raw)-len(rest), n)
		}
	}
}

func TestAppendHeaderAgreesWithGobwas(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20} {
		var want bytes.Buffer
		ws.WriteHeader(&want, ws.Header{Fin: true, OpCode: ws.OpBinary, Length: int64(n)})
		if got := appendHeader(nil, ws.OpBinary, n); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%d bytes: % x, want % x", n, got, want.Bytes())
		}
	}
}

// A frame cut anywhere asks for more and changes nothing.
func TestPartialFrames(t *testing.T) {
	whole := masked(ws.OpText, true, bytes.Repeat([]byte("x"), 300))
	for cut := range whole {
		p := bytes.Clone(whole[:cut])
		if _, _, _, err := (&parser{most: limitBytesMost}).frame(p, false); err != errPartial {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if !bytes.Equal(p, whole[:cut]) {
			t.Fatalf("cut at %d: the bytes were changed", cut)
		}
	}
}

func TestRefusedFrames(t *testing.T) {
	for name, c := range map[string]struct {
		raw        []byte
		fragmented bool
		want       error
	}{
		"not masked":              {raw: appendFrame(nil, ws.OpText, []byte("x")), want: ws.ErrProtocolMaskRequired},
		"reserved op code":        {raw: masked(0x3, true, nil), want: ws.ErrProtocolOpCodeReserved},
		"long ping":               {raw: masked(ws.OpPing, true, make([]byte, 126)), want: ws.ErrProtocolControlPayloadOverflow},
		"fragmented ping":         {raw: masked(ws.OpPing, false, nil), want: ws.ErrProtocolControlNotFinal},
		"compressed":              {raw: append([]byte{0xc1}, masked(ws.OpText, true, nil)[1:]...), want: ws.ErrProtocolNonZeroRsv},
		"continuation of nothing": {raw: masked(ws.OpContinuation, true, nil), want: ws.ErrProtocolContinuationUnexpected},
		"text within fragments":   {raw: masked(ws.OpText, true, nil), fragmented: true, want: ws.ErrProtocolContinuationExpected},
		"too big":                 {raw: masked(ws.OpText, true, make([]byte, limitBytesMost+1)), want: errTooBig},
		"2^63 bytes":              {raw: []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, want: errLength},
		"padded length":           {raw: []byte{0x81, 0xfe, 0, 5, 1, 2, 3, 4}, want: errLength},
	} {
		if _, _, _, err := (&parser{most: limitBytesMost}).frame(c.raw, c.fragmented); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// masked is a client's frame.
func masked(op ws.OpCode, fin bool, payload []byte) []byte {
	f := ws.NewFrame(op, fin, bytes.Clone(payload))
	f = ws.MaskFrameInPlaceWith(f, [4]byte{1, 2, 3, 4})
	var b bytes.Buffer
	ws.WriteFrame(&b, f)
	return b.Bytes()
}

func FuzzParseFrame(f *testing.F) {
	f.Add(masked(ws.OpText, true, []byte(`{"op":"ping","id":1}`)), false)
	f.Add(masked(ws.OpContinuation, false, []byte("x")), true)
	f.Add([]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}, false)
	f.Fuzz(func(t *testing.T, p []byte, fragmented bool) {
		h, payload, rest, err := (&parser{most: limitBytesMost}).frame(p, fragmented)
		if err != nil {
			if len(rest) != len(p) {
				t.Fatal("an error consumed bytes")
			}
			return
		}
		if int64(len(payload)) != h.Length || len(payload) > limitBytesMost {
			t.Fatalf("payload of %d bytes, header says %d", len(payload), h.Length)
		}
	})
}

func TestParseFrameAllocatesNothing(t *testing.T) {
	raw := masked(ws.OpText, true, []byte(`{"op":"ping","id":1}`))
	p, r := make([]byte, len(raw)), (&parser{most: limitBytesMost})
	if n := testing.AllocsPerRun(1000, func() {
		copy(p, raw)
		r.frame(p, false)
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkParseFrame(b *testing.B) {
	raw := masked(ws.OpText, true, []byte(`{"op":"ping","id":1}`))
	p, r := make([]byte, len(raw)), (&parser{most: limitBytesMost})
	for b.Loop() {
		copy(p, raw)
		r.frame(p, false)
	}
}
