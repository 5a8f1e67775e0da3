package codec

import (
	"encoding/json"
	"fmt"

	"github.com/valyala/fastjson"
)

// Message is one message of a server: data has Updates, any other its Control.
type Message struct {
	Type    Type
	SentAt  int64    // data: us since the Unix epoch, when the node sent it
	Updates []Update // data
	Symbols []string // data in JSON: the symbol of each update
	Control Control  // nil of data, and of a type that is not known
}

// clear keeps the memory of the updates.
func (m *Message) clear() {
	*m = Message{Updates: m.Updates[:0], Symbols: m.Symbols[:0]}
}

// grow adds an update of which nothing is known.
func (m *Message) grow() *Update {
	if len(m.Updates) == cap(m.Updates) {
		m.Updates = append(m.Updates, Update{})
	} else {
		m.Updates = m.Updates[:len(m.Updates)+1]
	}
	u := &m.Updates[len(m.Updates)-1]
	*u = Update{Quote: Empty}
	return u
}

// ParseMessage reads a msgpack message into m, whose memory it uses again: a data
// message costs no allocation once it has grown. A type it does not know is no
// error: it is a newer server's, to be ignored.
func ParseMessage(src []byte, m *Message) error {
	m.clear()
	r := getReader(src)
	return r.put(r.message(m))
}

func (r *reader) message(m *Message) error {
	n, err := r.array()
	if err != nil {
		return err
	}
	if n < 2 {
		return ErrCount
	}
	t, err := r.uint(255)
	if err != nil {
		return err
	}
	m.Type = Type(t)
	if m.Type != TypeData {
		if m.Type >= numTypes {
			return nil
		}
		text, err := r.appendJSON(nil, 0)
		if err != nil {
			return err
		}
		if n != 2 {
			return ErrCount
		}
		return m.control(text)
	}
	if m.SentAt, err = r.uint(MaxInt); err != nil {
		return err
	}
	for range n - 2 {
		if err := r.update(m.grow()); err != nil {
			return err
		}
	}
	if r.src.Len() > 0 {
		return ErrTrailing
	}
	return nil
}

// control reads a message other than data from its map as JSON.
func (m *Message) control(text []byte) error {
	m.Control = newControl(m.Type)
	if err := json.Unmarshal(text, m.Control); err != nil {
		return fmt.Errorf("%w: %s: %v", ErrType, m.Type, err)
	}
	return nil
}

// ParseMessageJSON reads a JSON message into m, as ParseMessage does. A scale field is
// in an update's mask only when it was named, which is when it changed.
func ParseMessageJSON(src []byte, m *Message) error {
	m.clear()
	p := parsers.Get()
	defer parsers.Put(p)
	v, err := parseJSON(p, src)
	if err != nil {
		return err
	}
	if v.Type() != fastjson.TypeObject {
		return ErrType
	}
	name := v.GetStringBytes("type")
	if name == nil {
		return fmt.Errorf("%w: type", ErrType)
	}
	m.Type = numTypes
	for t, n := range typeNames {
		if string(name) == n {
			m.Type = Type(t)
		}
	}
	if m.Type == numTypes {
		return nil
	}
	if m.Type != TypeData {
		return m.control(src)
	}
	if m.SentAt, err = natural(v.Get("sent_at")); err != nil {
		return fmt.Errorf("%w: sent_at", err)
	}
	list := v.Get("updates")
	if list == nil || list.Type() != fastjson.TypeArray {
		return fmt.Errorf("%w: updates", ErrType)
	}
	updates, _ := list.Array()
	for _, one := range updates {
		if err := m.updateJSON(one); err != nil {
			return err
		}
	}
	return nil
}
