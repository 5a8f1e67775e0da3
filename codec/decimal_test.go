package codec

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"regexp"
	"testing"
)

func TestParseDecimal(t *testing.T) {
	for text, want := range map[string]struct {
		mantissa int64
		scale    int
		err      error
	}{
		"0": {0, 0, nil}, "0.00000000": {0, 0, nil}, "-0": {0, 0, nil}, "007": {7, 0, nil}, ".5": {5, 1, nil}, "5.": {5, 0, nil},
		"61837.63000000": {6183763, 2, nil}, "-37.63": {-3763, 2, nil}, "77289": {77289, 0, nil}, "0.00000162": {162, 8, nil},
		"100": {100, 0, nil}, "2.5e-07": {25, 8, nil}, "1.5E3": {1500, 0, nil}, "12e0": {12, 0, nil}, "0e999": {0, 0, nil}, "1200e-2": {12, 0, nil},
		"9007199254740991": {MaxInt, 0, nil}, "-9007199254740991": {-MaxInt, 0, nil}, "9007199254740992": {0, 0, ErrRange},
		"9007199254740991.0000000000000000000000": {MaxInt, 0, nil}, "0.000000000000001": {1, 15, nil}, "0.0000000000000001": {0, 0, ErrRange},
		"1e16": {0, 0, ErrRange}, "1e-16": {0, 0, ErrRange}, "1e99999999999999999999": {0, 0, ErrRange},
		"": {0, 0, ErrSyntax}, "-": {0, 0, ErrSyntax}, ".": {0, 0, ErrSyntax}, "1.2.3": {0, 0, ErrSyntax}, "1e": {0, 0, ErrSyntax}, "1e+": {0, 0, ErrSyntax},
		"NaN": {0, 0, ErrSyntax}, "+1": {0, 0, ErrSyntax}, " 1": {0, 0, ErrSyntax}, "0x10": {0, 0, ErrSyntax}, "0.-10000": {0, 0, ErrSyntax}, "1,5": {0, 0, ErrSyntax},
	} {
		m, s, err := ParseDecimal([]byte(text))
		if m != want.mantissa || s != want.scale || !errors.Is(err, want.err) {
			t.Errorf("%q = %d, %d, %v; want %+v", text, m, s, err, want)
		}
	}
}

// Volumes drop decimals until 53 bits hold them, and never digits before the point.
func TestParseVolume(t *testing.T) {
	for text, want := range map[string]string{
		"455442476182.34546200": "455442476182.3454", "840180761.51358100": "840180761.513581", "9007199254740991.9": "9007199254740991",
	} {
		m, s, err := ParseVolume([]byte(text))
		if got := string(AppendDecimal(nil, m, s)); got != want || err != nil {
			t.Errorf("%s = %s, %v; want %s", text, got, err, want)
		}
	}
	if _, _, err := ParseVolume([]byte("9007199254740992")); !errors.Is(err, ErrRange) {
		t.Errorf("2^53: %v", err)
	}
}

// A finer price raises the scale of all prices with it, or is refused whole.
func TestApplyRescales(t *testing.T) {
	q := imageQuote
	from := quoteOf(map[Field]int64{Ask: 61837645, PriceScale: 3})
	changed, err := q.Apply(&from, 1<<Ask)
	if err != nil || changed != 1<<Bid|1<<Ask|1<<PriceScale || q[Bid] != 61837630 || q[Ask] != 61837645 || q[PriceScale] != 3 {
		t.Errorf("changed %v, %v: %v", changed.names(), err, q)
	}
	before := q
	from = quoteOf(map[Field]int64{Last: 1, PriceScale: 15})
	if changed, err := q.Apply(&from, 1<<Last); err != ErrRange || changed != 0 || q != before {
		t.Errorf("a scale that the bid cannot have: %v, %v", changed.names(), err)
	}
	// Coarser text does not lower the scale.
	from = quoteOf(map[Field]int64{Ask: 61838, PriceScale: 0})
	if _, err := q.Apply(&from, 1<<Ask); err != nil || q[PriceScale] != 3 || q[Ask] != 61838000 {
		t.Errorf("%v: %v", err, q)
	}
	// Volumes give up decimals rather than the number.
	v := quoteOf(map[Field]int64{Volume: 123456789, VolumeScale: 8})
	from = quoteOf(map[Field]int64{Turnover: MaxInt / 10, VolumeScale: 0})
	if _, err := v.Apply(&from, 1<<Turnover); err != nil || v[VolumeScale] != 1 || v[Volume] != 12 {
		t.Errorf("%v: %v", err, v)
	}
}

// Apply looks at all that it is given: what the wire cannot have would make readers
// refuse an entry whole.
func TestApplyRefuses(t *testing.T) {
	for f, v := range map[Field]int64{Trades: MaxInt + 1, EventTime: -MaxInt - 1, RecvTime: MaxInt + 1, Bid: MaxInt + 1, Volume: -MaxInt - 1, Status: -1} {
		q, from := imageQuote, quoteOf(map[Field]int64{f: v})
		if changed, err := q.Apply(&from, 1<<f|1<<High); err != ErrRange || changed != 0 || q != imageQuote {
			t.Errorf("%s is %d: %v, %v", f, v, changed.names(), err)
		}
	}
	for _, scale := range []int64{-1, MaxScale + 1} {
		q, from := imageQuote, quoteOf(map[Field]int64{High: 1, PriceScale: scale})
		if _, err := q.Apply(&from, 1<<High); err != ErrRange || q != imageQuote {
			t.Errorf("scale %d: %v", scale, err)
		}
		if err := q.Set(High, 1, int(scale)); err != ErrRange || q != imageQuote {
			t.Errorf("scale %d set: %v", scale, err)
		}
	}
}

func TestFloat(t *testing.T) {
	q := quoteOf(map[Field]int64{Last: -3763, PriceScale: 2, BidSize: 12, Volume: MaxInt, VolumeScale: MaxScale, Trades: 9})
	for f, want := range map[Field]float64{Last: -37.63, BidSize: 12, Volume: 9.007199254740991, Trades: 9, PriceScale: 2} {
		if got := q.Float(f); got != want {
			t.Errorf("%s is %v, want %v", f, got, want)
		}
	}
	if got := q.Float(Bid); !math.IsNaN(got) {
		t.Errorf("an absent bid is %v", got)
	}
}

var decimalText = regexp.MustCompile(`^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)

// slowDecimal is parseDecimal by arithmetic without bounds.
func slowDecimal(text string, drop bool) (int64, int, error) {
	if !decimalText.MatchString(text) {
		return 0, 0, ErrSyntax
	}
	exact, _ := new(big.Rat).SetString(text)
	for s := MaxScale; s >= 0; s-- {
		v := new(big.Rat).Mul(exact, new(big.Rat).SetInt64(pow10[s]))
		whole := new(big.Int).Quo(v.Num(), v.Denom())
		if whole.CmpAbs(big.NewInt(MaxInt)) > 0 {
			continue
		}
		if !drop && !v.IsInt() {
			break
		}
		m := whole.Int64()
		for ; s > 0 && m%10 == 0; s-- {
			m /= 10
		}
		return m, s, nil
	}
	return 0, 0, ErrRange
}

func FuzzParseDecimal(f *testing.F) {
	for _, seed := range []string{"61837.63", "-0.000001", "2.5e-07", "9007199254740991", "1e", "..", "0.-10000", "0.000000000000000000001e21",
		"10000000000000000000000e-22", "9007199254740991000000000e-9", "100000000000000000.5", "90071992547409.925", "455442476182.34546200", "1e-99", "12.e3", ".5E+2"} {
		f.Add(seed)
	}
	huge := regexp.MustCompile(`[eE].*\d{4}`) // nothing for arithmetic without bounds
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1000 || huge.MatchString(text) {
			return
		}
		for _, drop := range []bool{false, true} {
			m, s, err := parseDecimal([]byte(text), drop)
			if wantM, wantS, want := slowDecimal(text, drop); m != wantM || s != wantS || err != want {
				t.Fatalf("%q, drop %v: %d, %d, %v; want %d, %d, %v", text, drop, m, s, err, wantM, wantS, want)
			}
			if printed := AppendDecimal(nil, m, s); err == nil {
				if again, scale, err := ParseDecimal(printed); again != m || scale != s || err != nil {
					t.Fatalf("%q is printed %s", text, printed)
				}
			}
		}
	})
}

// Random numbers of the grammar reach what chance bytes seldom do.
func TestParseDecimalIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	digits := func(dst []byte, n int) []byte {
		for range n {
			dst = append(dst, "0000123456789999"[r.IntN(16)])
		}
		return dst
	}
	for range 5_000 {
		text := digits(nil, 1+r.IntN(20))
		if r.IntN(2) == 0 {
			text = digits(append(text, '.'), r.IntN(20))
		}
		if r.IntN(3) == 0 {
			text = fmt.Appendf(text, "e%d", r.IntN(60)-30)
		}
		for _, drop := range []bool{false, true} {
			m, s, err := parseDecimal(text, drop)
			if wantM, wantS, want := slowDecimal(string(text), drop); m != wantM || s != wantS || err != want {
				t.Fatalf("%s, drop %v: %d, %d, %v; want %d, %d, %v", text, drop, m, s, err, wantM, wantS, want)
			}
		}
	}
}
