package codec

import (
	"errors"
	"math"
	"strconv"
)

// ErrSyntax: text that is not what it should be, such as a decimal number.
var ErrSyntax = errors.New("codec: malformed text")

var pow10 = func() (p [MaxScale + 1]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// ParseDecimal reads a decimal number exactly: text = mantissa x 10^-scale, with
// the fewest decimals that say it. The grammar is JSON's, and a leading zero or a
// missing digit on one side of the point is fine: -?digits[.digits][(e|E)[+-]digits].
// ErrSyntax is no number, ErrRange one that 53 bits and MaxScale decimals cannot hold.
func ParseDecimal(text []byte) (mantissa int64, scale int, err error) {
	return parseDecimal(text, false)
}

// ParseVolume is ParseDecimal of a number that may lose decimals, toward zero, so that
// 53 bits hold it; ErrRange is one whose digits before the point they cannot hold.
func ParseVolume(text []byte) (mantissa int64, scale int, err error) {
	return parseDecimal(text, true)
}

func parseDecimal(text []byte, drop bool) (mantissa int64, scale int, err error) {
	// text = m x 10^exp, where m has its first 18 digits: they fit 64 bits.
	var m uint64
	i, digits, exp, point := 0, 0, 0, false
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		i++
	}
	for ; i < len(text); i++ {
		if text[i] == '.' && !point {
			point = true
			continue
		}
		c := text[i] - '0'
		if c > 9 {
			break
		}
		digits++
		if point {
			exp--
		}
		if m < 1e17 {
			m = 10*m + uint64(c)
			continue
		}
		exp++
		if c != 0 {
			m |= 1 // a last digit that is odd stays, so that m is never taken for exact
		}
	}
	e, ok := parseExponent(text[i:])
	if digits == 0 || !ok {
		return 0, 0, ErrSyntax
	}
	exp += e
	for m != 0 && exp < 0 && (m%10 == 0 || drop && (m > MaxInt || exp < -MaxScale)) {
		m /= 10
		exp++
	}
	for m != 0 && exp > 0 && m <= MaxInt {
		m *= 10
		exp--
	}
	switch {
	case m == 0:
		return 0, 0, nil
	case m > MaxInt || exp < -MaxScale:
		return 0, 0, ErrRange
	case negative:
		return -int64(m), -exp, nil
	}
	return int64(m), -exp, nil
}

// parseExponent reads nothing, or (e|E)[+-]digits. A huge one is cut short: no text
// has the digits that would bring it back into range.
func parseExponent(text []byte) (exp int, ok bool) {
	if len(text) == 0 {
		return 0, true
	}
	if text[0]|0x20 != 'e' {
		return 0, false
	}
	digits, negative := text[1:], false
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative, digits = digits[0] == '-', digits[1:]
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		exp = min(10*exp+int(c-'0'), 1e8)
	}
	if negative {
		exp = -exp
	}
	return exp, len(digits) > 0
}

// AppendDecimal appends mantissa x 10^-scale with exactly scale decimals. It is for
// what Apply and the parsers let pass, a scale from 0 to MaxScale; it panics for others.
func AppendDecimal(dst []byte, mantissa int64, scale int) []byte {
	if mantissa < 0 {
		dst, mantissa = append(dst, '-'), -mantissa
	}
	if scale == 0 {
		return strconv.AppendInt(dst, mantissa, 10)
	}
	whole, part := mantissa/pow10[scale], mantissa%pow10[scale]
	dst = append(strconv.AppendInt(dst, whole, 10), '.')
	for s := scale - 1; s > 0 && part < pow10[s]; s-- {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, part, 10)
}

// AppendText appends a field as text: a decimal with all its decimals, an integer,
// a status by name, or null.
func AppendText(dst []byte, q *Quote, f Field) []byte {
	v := q[f]
	if v == Absent {
		return append(dst, "null"...)
	}
	if f == Status && v >= 0 && v < int64(len(StatusNames)) {
		return append(dst, StatusNames[v]...)
	}
	if scale, ok := f.Scale(); ok {
		return AppendDecimal(dst, v, q.decimals(scale))
	}
	return strconv.AppendInt(dst, v, 10)
}

// Float is a field as the nearest float, for statistics; NaN when it is not known.
func (q *Quote) Float(f Field) float64 {
	v := q[f]
	if v == Absent {
		return math.NaN()
	}
	if scale, ok := f.Scale(); ok {
		return float64(v) / float64(pow10[q.decimals(scale)]) // both are exact
	}
	return float64(v)
}

// decimals is a scale field as a number of decimals; absent or absurd is 0.
func (q *Quote) decimals(scale Field) int {
	if s := q[scale]; s >= 0 && s <= MaxScale {
		return int(s)
	}
	return 0
}
