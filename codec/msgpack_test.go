package codec

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// Integers, which are written and read without the library, are byte for byte as it has
// them, whatever their size, and one that ends early or has more than 53 bits is refused.
func TestIntegersAreTheLibrarys(t *testing.T) {
	all := []int64{math.MinInt64, math.MaxInt64}
	for bits := range 63 {
		for _, near := range []int64{-1, 0, 1} {
			all = append(all, 1<<bits+near, -1<<bits+near)
		}
	}
	for _, v := range all {
		var want bytes.Buffer
		if err := msgpack.NewEncoder(&want).EncodeInt(v); err != nil {
			t.Fatal(err)
		}
		w := getWriter(nil)
		w.int(v)
		got := w.put()
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%d is % x, to the library % x", v, got, want.Bytes())
		}
		r := getReader(got)
		read, err := r.integer()
		if inside := v <= MaxInt && v >= -MaxInt; inside && (err != nil || read != v) || !inside && !errors.Is(err, ErrRange) {
			t.Errorf("%d is read as %d, %v", v, read, err)
		}
		if rest := len(r.rest()); err == nil && rest > 0 {
			t.Errorf("%d: %d bytes are left", v, rest)
		}
		r.put(nil)
		r = getReader(got[:len(got)-1])
		if _, err := r.integer(); !errors.Is(err, ErrTruncated) {
			t.Errorf("%d without its last byte: %v", v, err)
		}
		r.put(nil)
	}
}
