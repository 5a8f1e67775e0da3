package codec

import (
	"errors"
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
func ParseDecimal(text []byte) (mantissa int64, scale int, err error) {
	return parseDecimal(text, false)
}

// ParseVolume is ParseDecimal for numbers that may lose decimals, never digits
// before the point, so that 53 bits hold them.
func ParseVolume(text []byte) (mantissa int64, scale int, err error) {
	return parseDecimal(text, true)
}

func parseDecimal(text []byte, drop bool) (mantissa int64, scale int, err error) {
	i, negative := 0, false
	if i < len(text) && text[i] == '-' {
		negative = true
		i++
	}
	digits, zeros, point, dropped := 0, 0, false, false
	for ; i < len(text); i++ {
		c := text[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		digits++
		if dropped && point {
			continue
		}
		// Zeros wait until a digit follows: those at the end cost nothing.
		if c == '0' && point {
			zeros++
			continue
		}
		m, s, ok := mantissa, scale, true
		for ; zeros > 0 && ok; zeros-- {
			m, ok = shift(m, 0)
			s++
		}
		if ok {
			m, ok = shift(m, int64(c-'0'))
		}
		if point {
			s++
		}
		if !ok || s > MaxScale {
			if !drop || !point {
				return 0, 0, ErrRange
			}
			dropped = true
			continue
		}
		mantissa, scale = m, s
	}
	if digits == 0 {
		return 0, 0, ErrSyntax
	}
	if i < len(text) {
		if mantissa, scale, err = applyExponent(text[i:], mantissa, scale, drop); err != nil {
			return 0, 0, err
		}
	}
	if negative {
		mantissa = -mantissa
	}
	return mantissa, scale, nil
}

// shift appends a digit to a mantissa.
func shift(m, digit int64) (int64, bool) {
	m = 10*m + digit
	return m, m <= MaxInt
}

func applyExponent(text []byte, mantissa int64, scale int, drop bool) (int64, int, error) {
	if text[0] != 'e' && text[0] != 'E' || len(text) < 2 {
		return 0, 0, ErrSyntax
	}
	negative, digits := false, text[1:]
	if digits[0] == '-' || digits[0] == '+' {
		negative, digits = digits[0] == '-', digits[1:]
	}
	if len(digits) == 0 {
		return 0, 0, ErrSyntax
	}
	exp := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, 0, ErrSyntax
		}
		exp = min(10*exp+int(c-'0'), 1000)
	}
	if negative {
		exp = -exp
	}
	if mantissa == 0 {
		return 0, 0, nil
	}
	for scale -= exp; scale < 0; scale++ {
		var ok bool
		if mantissa, ok = shift(mantissa, 0); !ok {
			return 0, 0, ErrRange
		}
	}
	for ; scale > 0 && mantissa%10 == 0; scale-- {
		mantissa /= 10
	}
	if scale > MaxScale && !drop {
		return 0, 0, ErrRange
	}
	for ; scale > MaxScale; scale-- {
		mantissa /= 10
	}
	return mantissa, scale, nil
}

// AppendDecimal appends mantissa x 10^-scale with exactly scale decimals.
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

// decimals is a scale field as a number of decimals; absent or absurd is 0.
func (q *Quote) decimals(scale Field) int {
	if s := q[scale]; s >= 0 && s <= MaxScale {
		return int(s)
	}
	return 0
}
