package codec

import (
	"errors"
	"fmt"
	"testing"
)

// blob packs an entry with an update of each symbol.
func blob(id, prev ID, symbols ...string) []byte {
	var body []byte
	u := image()
	for _, symbol := range symbols {
		body = AppendTapeUpdate(body, symbol, &u)
	}
	return AppendEntry(nil, &Entry{ID: id, Prev: prev, History: 5, SentAt: 6, Count: len(symbols)}, body)
}

// Ensure that an entry is taken only if it adds to what was read, and that otherwise
// a checkpoint is asked for that covers it.
func TestCursorTake(t *testing.T) {
	last, never := ID{10, 5}, ID{MaxInt, MaxInt}
	mad := image()
	mad.Seq = 10_000 + reignMost + 1
	for _, c := range []struct {
		name string
		last ID
		id   string
		blob []byte
		err  error
		need ID
	}{
		{"follows", last, "10-6", blob(ID{10, 6}, last, "v:A", "v:B"), nil, ID{}},
		{"a heartbeat", last, "10-6", blob(ID{10, 6}, last), nil, ID{}},
		{"a fence that knows what we know", last, "11-0", blob(ID{11, 0}, last), nil, ID{}},
		{"a fence that knows less", last, "11-0", blob(ID{11, 0}, ID{10, 4}), ErrHole, ID{11, 0}},
		{"a fence that knows more", last, "11-0", blob(ID{11, 0}, ID{10, 7}), ErrHole, ID{10, 7}},
		{"a fence of a new history", last, "11-0", blob(ID{11, 0}, ID{}), ErrHole, ID{11, 0}},
		{"a hole", last, "10-8", blob(ID{10, 8}, ID{10, 7}), ErrHole, ID{10, 7}},
		{"a first entry that adds to something else than its fence", ID{11, 0}, "11-1", blob(ID{11, 1}, last), ErrHole, ID{11, 1}},
		{"a hole that reaches beyond itself", last, "10-8", blob(ID{10, 8}, ID{12, 7}), ErrHole, ID{10, 8}},
		{"another id", last, "10-6", blob(ID{10, 7}, last), ErrOtherID, ID{10, 6}},
		{"it went back", last, "10-4", blob(ID{10, 4}, last), ErrHole, ID{10, 4}},
		{"itself", last, "10-5", blob(last, last), ErrHole, last},
		{"the first of all", ID{}, "10-0", blob(ID{10, 0}, ID{}), nil, ID{}},
		{"trimmed", ID{}, "10-6", blob(ID{10, 6}, last), ErrHole, last},
		{"no id", last, "x", blob(ID{10, 6}, last), ErrSyntax, never},
		{"an id beyond a feed's", last, "18446744073709551615-1", blob(ID{10, 6}, last), ErrSyntax, never},
		{"id zero", ID{}, "0-0", blob(ID{}, ID{}), ErrOtherID, never},
		{"nothing", last, "10-6", nil, ErrTruncated, ID{10, 6}},
		{"cut short", last, "10-6", blob(ID{10, 6}, last, "v:A", "v:B")[:60], ErrTruncated, ID{10, 6}},
		{"trailing", last, "10-6", append(blob(ID{10, 6}, last, "v:A"), 0), ErrTrailing, ID{10, 6}},
		{"one more than there is", last, "10-6", AppendEntry(nil, &Entry{ID: ID{10, 6}, Prev: last, Count: 1}, nil), ErrTruncated, ID{10, 6}},
		{"2^53-1 of them", last, "10-6", AppendEntry(nil, &Entry{ID: ID{10, 6}, Prev: last, Count: MaxInt}, nil), ErrCount, ID{10, 6}},
		{"a seq that no reign has", last, "10-6", AppendEntry(nil, &Entry{ID: ID{10, 6}, Prev: last, Count: 1}, AppendTapeUpdate(nil, "v:A", &mad)), ErrRange, ID{10, 6}},
		{"a star", last, "10-6", blob(ID{10, 6}, last, "v:A", "v:*"), ErrRange, ID{10, 6}},
		{"no symbol", last, "10-6", blob(ID{10, 6}, last, "v:A", "vA"), ErrRange, ID{10, 6}},
		{"another venue's", last, "10-6", blob(ID{10, 6}, last, "v:A", "va:A"), ErrRange, ID{10, 6}},
	} {
		r, err := NewCursor("v/0")
		if err != nil {
			t.Fatal(err)
		}
		r.Last = c.last
		_, err = r.Take(c.id, c.blob)
		if !errors.Is(err, c.err) || r.Need != c.need {
			t.Errorf("%s: %v, need %s; want %v, %s", c.name, err, r.Need, c.err, c.need)
		}
		if taken := r.Last != c.last; taken != (c.err == nil) || !taken && len(r.Items) > 0 {
			t.Errorf("%s: at %s after %s with %d items", c.name, r.Last, c.last, len(r.Items))
		}
	}
}

// Ensure that a checkpoint covers a hole, and that one that cannot be read changes nothing.
func TestCursorLoad(t *testing.T) {
	r, _ := NewCursor("v/0")
	r.Last = ID{10, 5}
	if _, err := r.Take("10-9", blob(ID{10, 9}, ID{10, 8})); err != ErrHole {
		t.Fatal(err)
	}
	good := blob(ID{10, 8}, ID{}, "v:A", "v:B")
	for _, bad := range [][]byte{nil, []byte("rubbish"), good[:HeaderMax], good[:len(good)-1], append(good[:len(good):len(good)], 0)} {
		if _, err := r.Load(bad); err == nil || r.Last != (ID{10, 5}) || r.Need != (ID{10, 8}) || len(r.Items) > 0 {
			t.Errorf("%x: %v, at %s in need of %s", bad, err, r.Last, r.Need)
		}
	}
	head, _, err := ParseEntry(good[:HeaderMax])
	if err != nil || head.ID != (ID{10, 8}) {
		t.Errorf("its header: %+v %v", head, err)
	}
	if e, err := r.Load(good); err != nil || e.Count != 2 || len(r.Items) != 2 || r.Need != (ID{}) || string(r.Items[1].Symbol) != "v:B" {
		t.Errorf("%+v %v: %d items, in need of %s", e, err, len(r.Items), r.Need)
	}
	if _, err := r.Take("10-9", blob(ID{10, 9}, ID{10, 8})); err != nil {
		t.Error(err)
	}
}

// Ensure that HeaderMax is enough for any header.
func TestHeaderMax(t *testing.T) {
	most := ID{MaxInt, MaxInt}
	if n := len(AppendEntry(nil, &Entry{most, most, MaxInt, MaxInt, MaxInt, MaxInt}, nil)); n > HeaderMax {
		t.Error(n)
	}
}

func TestNewCursor(t *testing.T) {
	for stream, good := range map[string]bool{
		"sim/0": true, "binance-usdm/12": true,
		"": false, "sim": false, "/0": false, "sim/": false, "sim}/0": false, "{sim/0": false, "sim\n/0": false, "si m/0": false, "sim/*": false,
		fmt.Sprintf("sim/%0100d", 0): false,
	} {
		if _, err := NewCursor(stream); (err == nil) != good {
			t.Errorf("%q: %v", stream, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	seed(f, "entry", "msgpack")
	f.Add(blob(ID{10, 6}, ID{10, 5}, "v:A", "v:B"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, _ := NewCursor("v/0")
		for _, id := range []string{"10-6", "0-0", ""} {
			r.Last = ID{10, 5}
			e, err := r.Take(id, raw)
			if (err == nil) != (r.Last == ID{10, 6}) || (err == nil) == (r.Need != ID{}) || err != nil && len(r.Items) > 0 {
				t.Fatalf("%s: %+v %v %+v", id, e, err, r)
			}
			r.Need = ID{}
		}
		if e, err := r.Load(raw); err == nil && (len(r.Items) != e.Count || r.Last != e.ID) {
			t.Fatalf("%+v %+v", e, r)
		}
	})
}
