package codec

import (
	"fmt"
	"strconv"
	"strings"
)

// The tape's layout in Redis. Feed and fanout share bytes, not code.
const (
	TapesKey   = "tapes" // a set: the names of all streams
	EntryField = "b"     // the one field of a stream entry

	tapeVersion = 1
)

// TapeKey is the Redis stream of "venue/shard"; the braces keep it in one slot of a
// cluster with its checkpoint.
func TapeKey(stream string) string { return "tape:{" + stream + "}" }

// CheckpointKey is the Redis string that holds all images of a stream as of an id.
func CheckpointKey(stream string) string { return "board:{" + stream + "}" }

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
	Prev    ID // the entry before, as the writer knows it; of a fence what it restored
	History int64
	SentAt  int64 // us since the Unix epoch
	Count   int   // updates in the body
}

// AppendEntry appends a header and the updates that AppendTapeUpdate gathered:
// [version, epoch, n, prev_epoch, prev_n, history, sent_at, count], then them.
func AppendEntry(dst []byte, e *Entry, body []byte) []byte {
	w := getWriter(dst)
	w.array(8)
	w.int(tapeVersion)
	for _, v := range [...]int64{e.ID.Epoch, e.ID.N, e.Prev.Epoch, e.Prev.N, e.History, e.SentAt, int64(e.Count)} {
		w.int(v)
	}
	return append(w.put(), body...)
}

// ErrVersion: an entry of another layout.
var ErrVersion = fmt.Errorf("codec: tape version is not %d", tapeVersion)

// ParseEntry reads a header and returns the updates after it.
func ParseEntry(src []byte) (e Entry, body []byte, err error) {
	r := getReader(src)
	n, err := r.array()
	if err == nil && n != 8 {
		err = ErrCount
	}
	var v [8]int64
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
	e = Entry{ID{v[1], v[2]}, ID{v[3], v[4]}, v[5], v[6], int(v[7])}
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
