package codec

import (
	"bytes"
	"fmt"

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
			err = u.takeJSON(key, v, &symbol)
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

// takeJSON reads one key of an update; keys it does not know are a newer server's.
func (u *Update) takeJSON(key []byte, v *fastjson.Value, symbol *string) (err error) {
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
	case "image":
		return u.flagJSON(v, Image)
	case "gap":
		return u.flagJSON(v, Gap)
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

func (u *Update) flagJSON(v *fastjson.Value, flag Flags) error {
	on, err := v.Bool()
	if err != nil {
		return fmt.Errorf("%w: a flag is true or false", ErrType)
	}
	if on {
		u.Flags |= flag
	}
	return nil
}

// fieldJSON reads a field's value into the quote: a decimal with the scale it is
// printed in.
func (u *Update) fieldJSON(f Field, v *fastjson.Value) error {
	if v.Type() == fastjson.TypeNull {
		u.Quote[f] = Absent
		return nil
	}
	scale, decimal := f.Scale()
	if !decimal && f != Status {
		if v.Type() != fastjson.TypeNumber {
			return ErrType
		}
		n, err := v.Int64()
		if err != nil || n > MaxInt || n < -MaxInt {
			return ErrRange
		}
		u.Quote[f] = n
		return nil
	}
	text, err := v.StringBytes()
	if err != nil {
		return ErrType
	}
	if f == Status {
		return u.statusJSON(text)
	}
	mantissa, s, err := ParseDecimal(text)
	if err != nil {
		return err
	}
	printed := 0
	if point := bytes.IndexByte(text, '.'); point >= 0 {
		printed = len(text) - point - 1
	}
	if printed > MaxScale {
		return ErrRange
	}
	mantissa, ok := rescale(mantissa, s, printed)
	if !ok {
		return ErrRange
	}
	u.Quote[f], u.Quote[scale] = mantissa, int64(printed)
	return nil
}

func (u *Update) statusJSON(name []byte) error {
	for v, n := range StatusNames {
		if string(name) == n {
			u.Quote[Status] = int64(v)
			return nil
		}
	}
	return ErrType
}
