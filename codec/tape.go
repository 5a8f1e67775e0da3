package codec

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The tape's layout in Redis. Feed and fanout share bytes, not code.
const (
	TapesKey   = "tapes"   // a set: the names of all streams
	RevokedKey = "revoked" // a stream: tokens that are taken no more
	EntryField = "b"       // the one field of a stream entry

	// HeaderMax is more than a header takes, nine integers: so much of a checkpoint
	// says what it is as of.
	HeaderMax = 80
	// UpdatesMax bounds an entry and a checkpoint; a Cursor holds 200 bytes of each update.
	UpdatesMax = 1 << 20

	tapeVersion = 2
)

// TapeKey is the Redis stream of "venue/shard"; the braces keep it in one slot of a
// cluster with its checkpoint.
func TapeKey(stream string) string { return "tape:{" + stream + "}" }

// CheckpointKey is the Redis string that holds all images of a stream as of an id.
func CheckpointKey(stream string) string { return "board:{" + stream + "}" }

// WriterKey is the Redis string that names the feed which writes a stream, or is to, while
// that renews it.
func WriterKey(stream string) string { return "writer:{" + stream + "}" }

// StandbyKey is the Redis string that names a feed which is ready to write a stream.
func StandbyKey(stream string) string { return "standby:{" + stream + "}" }

// ID is a stream entry's id: the writer's reign, and a count without a hole in it.
type ID struct {
	Epoch int64 // Unix ms of the start of the reign
	N     int64
}

func (id ID) String() string {
	return strconv.FormatInt(id.Epoch, 10) + "-" + strconv.FormatInt(id.N, 10)
}

// Less reports whether id comes before other.
func (id ID) Less(other ID) bool {
	return id.Epoch < other.Epoch || id.Epoch == other.Epoch && id.N < other.N
}

// ParseID reads an id as Redis prints it.
func ParseID(s string) (ID, error) {
	epoch, n, ok := strings.Cut(s, "-")
	e, err1 := strconv.ParseInt(epoch, 10, 64)
	k, err2 := strconv.ParseInt(n, 10, 64)
	if !ok || err1 != nil || err2 != nil || e < 0 || k < 0 {
		return ID{}, fmt.Errorf("stream id %q: %w", s, ErrSyntax)
	}
	return ID{e, k}, nil
}

// Entry is the header of an entry, or of a checkpoint, which is all images as of
// ID in the same form.
type Entry struct {
	ID      ID
	Prev    ID // what it adds to: the entry before, or what the writer has restored
	History int64
	SentAt  int64 // us since the Unix epoch
	Server  int64 // the Redis that the writer last knew it wrote to; 0: one in memory
	Count   int   // updates in the body
}

// AppendEntry appends a header and the updates that AppendTapeUpdate gathered:
// [version, epoch, n, prev_epoch, prev_n, history, sent_at, server, count], then them.
func AppendEntry(dst []byte, e *Entry, body []byte) []byte {
	w := getWriter(dst)
	w.array(9)
	w.int(tapeVersion)
	for _, v := range [...]int64{e.ID.Epoch, e.ID.N, e.Prev.Epoch, e.Prev.N, e.History, e.SentAt, e.Server, int64(e.Count)} {
		w.int(v)
	}
	return append(w.put(), body...)
}

// What a reader of the tape refuses besides malformed bytes.
var (
	ErrVersion = fmt.Errorf("codec: tape version is not %d", tapeVersion)
	ErrHole    = errors.New("codec: the entry does not follow")
	ErrOtherID = errors.New("codec: the entry says it is another")
)

// ParseEntry reads a header and returns the updates after it.
func ParseEntry(src []byte) (e Entry, body []byte, err error) {
	r := getReader(src)
	n, err := r.array()
	if err == nil && n != 9 {
		err = ErrCount
	}
	var v [9]int64
	for i := range v {
		if err == nil {
			v[i], err = r.uint(MaxInt)
		}
		if err == nil && i == 0 && v[0] != tapeVersion {
			err = ErrVersion
		}
	}
	if err != nil {
		return e, nil, r.put(err)
	}
	e = Entry{ID{v[1], v[2]}, ID{v[3], v[4]}, v[5], v[6], v[7], int(v[8])}
	body = r.rest()
	return e, body, r.put(nil)
}

// AppendTapeUpdate appends an update under its symbol's name: AppendUpdate with the
// symbol in place of the id.
func AppendTapeUpdate(dst []byte, symbol string, u *Update) []byte {
	w := getWriter(dst)
	w.array(4 + u.extra())
	w.string(symbol)
	w.updateTail(u)
	return w.put()
}

// ParseTapeUpdate reads an update of an entry's body; symbol is a view into src.
func ParseTapeUpdate(src []byte, u *Update) (symbol, rest []byte, err error) {
	r := getReader(src)
	n, err := r.array()
	if err == nil {
		symbol, err = r.text()
	}
	if err == nil && !ValidSymbol(symbol) {
		err = ErrRange
	}
	if err == nil {
		err = r.updateTail(u, n-1)
	}
	if err != nil {
		return nil, src, r.put(err)
	}
	rest = r.rest()
	return symbol, rest, r.put(nil)
}

// Cursor follows a stream of the tape. It takes an entry or a checkpoint whole or not
// at all, and knows nothing of Redis.
type Cursor struct {
	Last  ID         // what was read last; 0-0: nothing
	Need  ID         // what a checkpoint must reach to cover a hole; 0-0: there is none
	Items []TapeItem // the updates read last, until the next are

	venue string
}

// TapeItem is an update under its symbol's name; Symbol is a view into what was read.
type TapeItem struct {
	Symbol []byte
	Update Update
}

// reignMost is more than any reign lasts, in us, of which each has one seq of a symbol at the
// most.
const reignMost = 320_000_000_000_000

// itemsKept is the most items worth keeping for what is read next.
const itemsKept = 8192

// NewCursor begins before the first entry of the stream "venue/shard".
func NewCursor(stream string) (Cursor, error) {
	venue, shard, _ := strings.Cut(stream, "/")
	if !nameable([]byte(venue+":"+shard)) || shard == "" || strings.ContainsAny(stream, "{}") {
		return Cursor{}, fmt.Errorf("stream %.80q is not venue/shard: %w", stream, ErrSyntax)
	}
	return Cursor{venue: venue}, nil
}

// Take reads the entry that is stored under id. After an error Last and the state it
// stands for are as before, and Need says what a checkpoint must reach.
func (c *Cursor) Take(id string, blob []byte) (Entry, error) {
	at, err := ParseID(id)
	if err != nil || at == (ID{}) {
		at = ID{MaxInt, MaxInt} // no writer's, and no checkpoint's
	}
	e, body, bad := ParseEntry(blob)
	switch {
	case err != nil:
	case bad != nil:
		err = bad
	case e.ID != at:
		err = ErrOtherID
	case e.Prev != c.Last || !c.Last.Less(at):
		err = ErrHole
	default:
		err = c.parse(&e, body)
	}
	if err == nil {
		c.Last = at
		return e, nil
	}
	c.Items, c.Need = c.Items[:0], at
	if err == ErrHole && c.Last.Less(e.Prev) && e.Prev.Less(at) {
		c.Need = e.Prev
	}
	return e, err
}

// Load reads a checkpoint, from which the tape goes on. After an error Last and Need
// are as before.
func (c *Cursor) Load(blob []byte) (Entry, error) {
	e, body, err := ParseEntry(blob)
	if err == nil {
		err = c.parse(&e, body)
	}
	if err != nil {
		c.Items = c.Items[:0]
		return e, err
	}
	c.Last, c.Need = e.ID, ID{}
	return e, nil
}

// parse reads the updates into c.Items.
func (c *Cursor) parse(e *Entry, body []byte) (err error) {
	if c.Items = c.Items[:0]; cap(c.Items) > itemsKept {
		c.Items = nil
	}
	if e.Count > UpdatesMax {
		return ErrCount
	}
	for n := range e.Count {
		if n < cap(c.Items) {
			c.Items = c.Items[:n+1]
		} else {
			c.Items = append(c.Items, TapeItem{})
		}
		it := &c.Items[n]
		if it.Symbol, body, err = ParseTapeUpdate(body, &it.Update); err != nil {
			return err
		}
		if venue, _, _ := bytes.Cut(it.Symbol, []byte(":")); string(venue) != c.venue {
			return ErrRange
		}
		if it.Update.Seq > e.ID.Epoch*1000+reignMost {
			return ErrRange // taken, it would be above all that is true
		}
		if it.Update.Flags&Image == 0 {
			it.Update.History = e.History
		}
	}
	if len(body) > 0 {
		return ErrTrailing
	}
	return nil
}
