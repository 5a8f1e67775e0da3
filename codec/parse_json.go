package codec

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/valyala/fastjson"
)

// updateJSON reads one update of a JSON data message.
func (m *Message) updateJSON(v *fastjson.Value) error {
	o, err := v.Object()
	if err != nil {
		return fmt.Errorf("%w: an update is an object", ErrType)
	}
	u := m.grow()
	u.Seq = Absent
	symbol := ""
	o.Visit(func(key []byte, v *fastjson.Value) {
		if err == nil {
			err = u.keyJSON(key, v, &symbol)
		}
	})
	if err != nil {
		return err
	}
	if symbol == "" || u.Seq == Absent {
		return fmt.Errorf("%w: an update has symbol and seq", ErrType)
	}
	m.Symbols = append(m.Symbols, symbol)
	return nil
}

// keyJSON reads one key of an update; keys it does not know are a newer server's.
func (u *Update) keyJSON(key []byte, v *fastjson.Value, symbol *string) (err error) {
	switch string(key) {
	case "symbol":
		text, err := v.StringBytes()
		if err != nil {
			return fmt.Errorf("%w: symbol", ErrType)
		}
		if !ValidSymbol(text) {
			return fmt.Errorf("%w: symbol", ErrRange)
		}
		*symbol = string(text)
	case "seq":
		u.Seq, err = natural(v)
	case "history":
		u.History, err = natural(v)
	case "image", "gap":
		on, err := v.Bool()
		if err != nil {
			return fmt.Errorf("%w: %s is true or false", ErrType, key)
		}
		if on && string(key) == "image" {
			u.Flags |= Image
		} else if on {
			u.Flags |= Gap
		}
	case "conflated":
		text, _ := v.StringBytes()
		for i, name := range reasonNames {
			if i > 0 && string(text) == name {
				u.Flags |= Conflated | Flags(i)<<2
				return nil
			}
		}
		return fmt.Errorf("%w: conflated is rate, slow or catch-up", ErrType)
	default:
		if f, ok := FieldByName(string(key)); ok {
			if err = u.fieldJSON(f, v); err == nil {
				u.Mask |= 1 << f
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, key)
	}
	return nil
}

// fieldJSON reads a field's value into the quote: a decimal with the scale it is
// printed in.
func (u *Update) fieldJSON(f Field, v *fastjson.Value) error {
	scale, decimal := f.Scale()
	switch {
	case v.Type() == fastjson.TypeNull:
		return u.setJSON(f, Absent)
	case decimal && v.Type() == fastjson.TypeString:
		mantissa, printed, err := parsePrinted(v.GetStringBytes())
		if err != nil {
			return err
		}
		u.Quote[f] = mantissa
		return u.setJSON(scale, int64(printed))
	case f == Status && v.Type() == fastjson.TypeString:
		status := slices.Index(StatusNames[:], string(v.GetStringBytes()))
		if status < 0 {
			return ErrType
		}
		return u.setJSON(f, int64(status))
	case decimal || f == Status || v.Type() != fastjson.TypeNumber:
		return ErrType
	}
	n, err := v.Int64()
	if err != nil || !f.holds(n) {
		return ErrRange
	}
	return u.setJSON(f, n)
}

// setJSON sets a field. All decimals of a group, and their scale where it is named,
// agree.
func (u *Update) setJSON(f Field, v int64) error {
	if had := u.Quote[f]; Scales.Has(f) && had != v && (had != Absent || u.Mask.Has(f)) {
		return ErrSyntax
	}
	u.Quote[f] = v
	return nil
}

// parsePrinted reads a decimal as AppendDecimal prints it: its scale is the number of
// decimals there.
func parsePrinted(text []byte) (mantissa int64, scale int, err error) {
	whole, part, point := bytes.Cut(bytes.TrimPrefix(text, []byte("-")), []byte("."))
	if len(whole) == 0 || point && len(part) == 0 || bytes.ContainsAny(text, "eE") {
		return 0, 0, ErrSyntax
	}
	mantissa, s, err := ParseDecimal(text)
	if err != nil {
		return 0, 0, err
	}
	if scale = len(part); scale > MaxScale {
		return 0, 0, ErrRange
	}
	mantissa, ok := rescale(mantissa, s, scale)
	if !ok {
		return 0, 0, ErrRange
	}
	return mantissa, scale, nil
}
