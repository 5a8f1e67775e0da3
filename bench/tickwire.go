package bench

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

// requestSymbols is how many symbols a request names: within what nodes take.
const requestSymbols = 1000

// tickwire is our own protocol, PROTOCOL.md.
type tickwire struct {
	load *Load
	msg  codec.Message
	byID map[string]uint32 // symbol -> index

	signer *token.Signer // nil: all show the load's token
	tokens []string      // by conn, from the load's first, as far as they were signed

	place []uint32 // scratch of reply: where the sub of a symbol stands
}

func newTickwire(load *Load) (*tickwire, error) {
	t := &tickwire{load: load, byID: make(map[string]uint32, len(load.Symbols)), tokens: make([]string, load.Conns)}
	if len(load.Signs) > 0 {
		var err error
		if t.signer, err = token.NewSigner(load.Signs); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	for i, symbol := range load.Symbols {
		t.byID[symbol] = uint32(i)
	}
	return t, nil
}

// tokenLife is beyond any run.
const tokenLife = 30 * 24 * time.Hour

// token is what a conn shows; it comes back with the same one.
func (t *tickwire) token(c *conn) string {
	if t.signer == nil {
		return t.load.Token
	}
	text := &t.tokens[c.number-t.load.First]
	if *text == "" {
		*text, _ = sign(t.signer, strconv.Itoa(c.number)) // without one the node says 401
	}
	return *text
}

// Sign makes a token for a subject with a private key, PEM.
func Sign(key []byte, subject string) (string, error) {
	signer, err := token.NewSigner(key)
	if err != nil {
		return "", err
	}
	return sign(signer, subject)
}

func sign(signer *token.Signer, subject string) (string, error) {
	claims := &token.Claims{Grant: token.Grant{Symbols: []string{"*"}}}
	claims.Subject, claims.ExpiresAt = subject, jwt.NewNumericDate(time.Now().Add(tokenLife))
	return signer.Sign(claims)
}

func (t *tickwire) head(e *Endpoint, c *conn) []byte {
	protocol := codec.ProtocolMsgpack
	if t.load.JSON {
		protocol = codec.ProtocolJSON
	}
	show := ""
	if shown := t.token(c); shown != "" {
		show = "Authorization: Bearer " + shown + "\r\n"
	}
	return upgradeHead(e.Host, e.Path, "Sec-WebSocket-Protocol: "+protocol+"\r\n"+show)
}

// upgradeHead is a request for an upgrade. The key need not be a secret.
func upgradeHead(host, path, more string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGlja3dpcmUgYmVuY2ggIQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", path, host, more)
}

// opened asks for what the conn wants. One that was connected before resumes.
func (t *tickwire) opened(w *worker, c *conn) {
	want := t.load.choose(c.number)
	var held []codec.Position
	if c.again {
		for _, s := range c.subs {
			if history := w.seen[s.sym].history; s.seq > 0 && history > 0 {
				held = append(held, codec.Position{Symbol: []byte(t.load.Symbols[s.sym]), History: history, Seq: s.seq})
			}
		}
	}
	before := make(map[uint32]int64, len(held))
	for _, s := range c.subs {
		before[s.sym] = s.seq
	}
	c.subs, c.waits = make([]sub, 0, len(want)), len(want)
	for _, i := range want {
		c.subs = append(c.subs, sub{id: noID, sym: i, seq: before[i]})
	}
	t.sort(c)
	c.again = true
	if c.waits == 0 {
		w.up(c)
	}
	for id := int64(1); len(want) > 0; id++ {
		n := min(requestSymbols, len(want))
		r := codec.Request{Op: codec.OpSubscribe, ID: id, Rate: t.load.Rate, HasRate: t.load.Rate > 0}
		for _, i := range want[:n] {
			r.Symbols = append(r.Symbols, []byte(t.load.Symbols[i]))
		}
		k := min(n, len(held))
		r.Resume, held, want = held[:k], held[k:], want[n:]
		if !t.send(w, c, &r) {
			return
		}
	}
}

// ask is a symbol that a node did not have, and when it is asked for again.
type ask struct {
	at        time.Time
	conn, gen uint32
	sym       uint32
}

// askAgain is the second that PROTOCOL.md names.
const askAgain = time.Second

// due asks again for what nodes did not have, a request for each reply.
func (t *tickwire) due(w *worker) {
	for len(w.asks) > 0 && time.Now().After(w.asks[0].at) {
		first := w.asks[0]
		c := &w.conns[first.conn]
		r := codec.Request{Op: codec.OpSubscribe, Rate: t.load.Rate, HasRate: t.load.Rate > 0}
		n := 0 // what came in one reply stands together
		for ; n < min(requestSymbols, len(w.asks)) && w.asks[n].conn == first.conn && w.asks[n].gen == first.gen; n++ {
			r.Symbols = append(r.Symbols, []byte(t.load.Symbols[w.asks[n].sym]))
		}
		w.asks = w.asks[n:]
		if c.gen == first.gen && c.fd >= 0 {
			t.send(w, c, &r)
		}
	}
}

// send sends a request.
func (t *tickwire) send(w *worker, c *conn, r *codec.Request) bool {
	if t.load.JSON {
		w.out = appendFrame(w.out[:0], ws.OpText, codec.AppendRequestJSON(nil, r))
	} else {
		w.out = appendFrame(w.out[:0], ws.OpBinary, codec.AppendRequest(nil, r))
	}
	return w.write(c, w.out)
}

// noID marks a sub that the node has not numbered yet.
const noID = 1<<32 - 1

func (t *tickwire) message(w *worker, c *conn, op ws.OpCode, payload []byte) error {
	if op == ws.OpBinary {
		if updates, sentAt, rest, ok := dataHeader(payload); ok {
			w.countMessage(c, sentAt, len(payload))
			return t.data(w, c, updates, rest)
		}
	}
	parse := codec.ParseMessage
	if op == ws.OpText {
		parse = codec.ParseMessageJSON
	}
	if err := parse(payload, &t.msg); err != nil {
		return err
	}
	switch m := t.msg.Control.(type) {
	case *codec.Reply:
		if len(m.Results) > len(c.subs) {
			return fmt.Errorf("%d results for %d symbols", len(m.Results), len(c.subs))
		}
		t.reply(w, c, m)
	case *codec.Error:
		countReason(w.count.Refused, m.Text)
	}
	if t.msg.Type != codec.TypeData {
		return nil
	}
	w.countMessage(c, t.msg.SentAt, len(payload))
	for i := range t.msg.Updates {
		u := &t.msg.Updates[i]
		s := c.find(u.ID)
		if op == ws.OpText {
			s = t.sub(c, t.msg.Symbols[i])
		}
		if s == nil {
			return fmt.Errorf("an update of number %d, which was not asked for", u.ID)
		}
		w.take(c, s, u)
	}
	return nil
}

// sort puts a conn's subs in the order that find, or sub, looks them up by.
func (t *tickwire) sort(c *conn) {
	slices.SortFunc(c.subs, func(a, b sub) int {
		if t.load.JSON {
			return cmp.Compare(a.sym, b.sym)
		}
		return cmp.Compare(a.id, b.id)
	})
}

// sub finds a conn's sub by its symbol, which JSON names.
func (t *tickwire) sub(c *conn, symbol string) *sub {
	sym, known := t.byID[symbol]
	if !known {
		return nil
	}
	i, found := slices.BinarySearchFunc(c.subs, sym, func(s sub, sym uint32) int { return cmp.Compare(s.sym, sym) })
	if !found {
		return nil
	}
	return &c.subs[i]
}

// reply numbers the subs.
func (t *tickwire) reply(w *worker, c *conn, r *codec.Reply) {
	if t.place == nil {
		t.place = make([]uint32, len(t.load.Symbols))
	}
	for i, s := range c.subs {
		t.place[s.sym] = uint32(i)
	}
	for i := range r.Results {
		x := &r.Results[i]
		sym, known := t.byID[x.Symbol]
		switch {
		case x.Error != nil:
			countReason(w.count.Refused, x.Error.Text)
			if known && x.Error.Retry {
				w.asks = append(w.asks, ask{time.Now().Add(askAgain), w.index(c), c.gen, sym})
			}
		case known && x.ID != nil && int(t.place[sym]) < len(c.subs) && c.subs[t.place[sym]].sym == sym:
			s := &c.subs[t.place[sym]]
			if s.id == noID && s.seq > 0 {
				w.got(c) // what it held before is held on to
			}
			s.id = *x.ID
		}
	}
	t.sort(c)
}

// dataHeader reads the opening of a binary data message: [0, sent_at, and the number
// of its updates.
func dataHeader(p []byte) (updates int, sentAt int64, rest []byte, ok bool) {
	n, rest, ok := arrayLen(p)
	if !ok || n < 2 || len(rest) < 2 || rest[0] != 0 {
		return 0, 0, p, false
	}
	at, rest, ok := uintOf(rest[1:])
	return n - 2, int64(at), rest, ok
}

// countMessage counts a data message of so many bytes.
func (w *worker) countMessage(c *conn, sentAt int64, bytes int) {
	w.count.Messages++
	c.messages++
	w.sentAt = sentAt
	if sentAt < w.wokenAt {
		c.unread += uint32(bytes)
	}
}

// data takes the updates of a message. Most have come to another subscriber before:
// those are known by their bytes, and nothing of them is parsed.
func (t *tickwire) data(w *worker, c *conn, updates int, p []byte) error {
	var u codec.Update
	for range updates {
		_, rest, ok := arrayLen(p)
		id, body, ok2 := uintOf(rest)
		if !ok || !ok2 || id > noID {
			return codec.ErrTruncated
		}
		s := c.find(uint32(id))
		if s == nil {
			return fmt.Errorf("an update of number %d, which was not asked for", id)
		}
		if n := w.known(c, s, body); n > 0 {
			p = body[n:]
			continue
		}
		u = codec.Update{Quote: codec.Empty}
		after, err := codec.ParseUpdate(p, &u)
		if err != nil {
			return err
		}
		w.remember(s, &u, body[:len(body)-len(after)])
		w.take(c, s, &u)
		p = after
	}
	if len(p) > 0 {
		return fmt.Errorf("%d bytes after the last update", len(p))
	}
	return nil
}

// find is the sub of a number.
func (c *conn) find(id uint32) *sub {
	lo, hi := 0, len(c.subs)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if c.subs[mid].id < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(c.subs) || c.subs[lo].id != id {
		return nil
	}
	return &c.subs[lo]
}

// arrayLen reads the header of a msgpack array.
func arrayLen(p []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(p) == 0:
	case p[0]&0xf0 == 0x90:
		return int(p[0] & 15), p[1:], true
	case p[0] == 0xdc && len(p) >= 3:
		return int(binary.BigEndian.Uint16(p[1:])), p[3:], true
	case p[0] == 0xdd && len(p) >= 5:
		return int(binary.BigEndian.Uint32(p[1:])), p[5:], true
	}
	return 0, p, false
}

// uintOf reads a msgpack integer from 0.
func uintOf(p []byte) (v uint64, rest []byte, ok bool) {
	switch {
	case len(p) == 0:
	case p[0] < 0x80:
		return uint64(p[0]), p[1:], true
	case p[0] == 0xcc && len(p) >= 2:
		return uint64(p[1]), p[2:], true
	case p[0] == 0xcd && len(p) >= 3:
		return uint64(binary.BigEndian.Uint16(p[1:])), p[3:], true
	case p[0] == 0xce && len(p) >= 5:
		return uint64(binary.BigEndian.Uint32(p[1:])), p[5:], true
	case p[0] == 0xcf && len(p) >= 9:
		return binary.BigEndian.Uint64(p[1:]), p[9:], true
	}
	return 0, p, false
}
