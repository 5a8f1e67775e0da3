package codec

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// session is one file of testdata/sessions: what a node sent, in both encodings, and
// what a client must end up holding. Of those in testdata/refused the last message
// is to be refused.
type session struct {
	About    string               `json:"about"`
	Error    string               `json:"error,omitempty"` // its class
	Messages []sessionMessage     `json:"messages"`
	Quotes   map[string]quoteText `json:"quotes"`
}

type sessionMessage struct {
	Msgpack string `json:"msgpack,omitempty"` // hex
	JSON    string `json:"json"`
}

// quoteText is a quote as /v1/snapshot has it: its seq, and the fields that are known.
type quoteText map[string]any

// newSession begins with hello and a reply that gives the symbol the number 7.
func newSession(about string, want quoteText) *session {
	s := &session{About: about, Quotes: map[string]quoteText{btc: want}}
	hello := &Hello{Protocol: Version, Node: "node-1", Time: sent1, Fields: FieldNames[:], Heartbeat: 5000, Periods: []int64{0, 1000}, Limits: Limits{65536, 4096, 10000, 50}}
	s.add(AppendControl(nil, hello), AppendControlJSON(nil, hello))
	id, rate := uint32(7), 0.0
	reply := &Reply{ID: 1, Op: OpSubscribe, Rate: &rate, Results: []Result{{Symbol: btc, ID: &id}}}
	s.add(AppendControl(nil, reply), AppendControlJSON(nil, reply))
	return s
}

func (s *session) add(msgpack, text []byte) *session {
	s.Messages = append(s.Messages, sessionMessage{hex.EncodeToString(msgpack), string(text)})
	return s
}

func (s *session) data(updates ...Update) *session {
	m, j := data(sent1, updates...)
	return s.add(m, j)
}

// delta is an update of some fields of the image's quote.
func delta(seq int64, flags Flags, set map[Field]int64) Update {
	u := Update{ID: 7, Seq: seq, Flags: flags, Quote: imageQuote}
	for f, v := range set {
		u.Quote[f] = v
		u.Mask |= 1 << f
	}
	return u
}

func sessions() map[string]*session {
	imageText := func(seq int64, changes quoteText) quoteText {
		q := quoteText{
			"seq": seq, "bid": "61837.63", "bid_size": "3.78826", "ask": "61837.64", "ask_size": "1.54698",
			"status": "live", "recv_time": 1723161254087891, "price_scale": 2, "size_scale": 5,
		}
		for name, v := range changes {
			if q[name] = v; v == nil {
				delete(q, name)
			}
		}
		return q
	}
	first := int64(history1 + 1)
	finer := delta(first+2, 0, nil)
	finer.Quote, finer.Mask = finerQuote, 1<<Bid|1<<Ask|1<<AskSize|1<<RecvTime|1<<PriceScale
	renewed := image()
	renewed.Seq, renewed.History = history2+1, history2
	renewed.Quote = quoteOf(map[Field]int64{Last: 7, PriceScale: 0, Status: Live})
	renewed.Mask = renewed.Quote.Present()
	beat := &Heartbeat{Time: sent1, Subs: 1, Hash: SymbolHash(btc)}
	return map[string]*session{
		"deltas": newSession("an image, then what changed", imageText(first+2, quoteText{"bid": "61837.00", "trades": 9})).
			data(image()).
			data(delta(first+1, 0, map[Field]int64{Bid: 6183700})).
			data(delta(first+2, 0, map[Field]int64{Trades: 9})),
		"absent": newSession("there is no bid any more, and a new ask", imageText(first+1, quoteText{"bid": nil, "bid_size": nil, "ask": "61838.01"})).
			data(image()).
			data(delta(first+1, 0, map[Field]int64{Bid: Absent, BidSize: Absent, Ask: 6183801})),
		"scale_change": newSession("the price needs a third decimal: all prices change with their scale", imageText(first+2, quoteText{
			"bid": "61837.635", "ask": "61837.640", "ask_size": nil, "price_scale": 3, "recv_time": 1723161254091857})).
			data(image()).data(finer),
		"conflated": newSession("updates were merged, and the stream was interrupted", imageText(first+50, quoteText{"bid": "61900.00"})).
			data(image()).
			data(delta(first+40, Conflated|ReasonSlow, map[Field]int64{Bid: 6180000})).
			data(delta(first+50, Conflated|ReasonRate|Gap, map[Field]int64{Bid: 6190000})),
		"repeat": newSession("an update with the seq held: the node says that the tape is silent", imageText(first, quoteText{"status": "stale"})).
			data(image()).
			data(image()).
			data(delta(first, 0, map[Field]int64{Status: Stale})),
		"new_history": newSession("everything was lost: an image of another history replaces all", quoteText{
			"seq": int64(history2 + 1), "last": "7", "status": "live", "price_scale": 0}).
			data(image()).data(renewed),
		"unknown": newSession("types, keys, symbols and numbers that a client does not know are passed over", imageText(first, nil)).
			add([]byte{0x92, 0x63, 0x80}, []byte(`{"type":"weather","rain":true}`)).
			data(image()).
			add(AppendUpdate(AppendDataHeader(nil, sent1, 1), &Update{ID: 99, Seq: 5, Mask: 1 << Bid, Quote: imageQuote}),
				[]byte(`{"type":"data","sent_at":1723161254087898,"updates":[{"symbol":"sim:OTHER","seq":5,"bid":"1.00"}]}`)).
			add(AppendControl(nil, beat), AppendControlJSON(nil, beat)),
	}
}

// refusedSessions end in what is right by itself, but not after what came before.
func refusedSessions() map[string]*session {
	s := newSession("decimals are printed in another scale than the one held, and the update does not name it", quoteText{
		"seq": int64(history1 + 1), "bid": "61837.63", "bid_size": "3.78826", "ask": "61837.64", "ask_size": "1.54698",
		"status": "live", "recv_time": 1723161254087891, "price_scale": 2, "size_scale": 5,
	}).data(image()).add(nil, []byte(`{"type":"data","sent_at":1723161254087898,"updates":[{"symbol":"`+btc+`","seq":1723161252675,"bid":"61837.630"}]}`))
	s.Error = "order"
	return map[string]*session{"scale_not_named": s}
}

// Ensure that the session files are what the code makes; the clients play them.
func TestSessionFiles(t *testing.T) {
	for dir, all := range map[string]map[string]*session{"testdata/sessions": sessions(), "testdata/refused": refusedSessions()} {
		for name, s := range all {
			checkFile(t, filepath.Join(dir, name+".json"), s)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != len(all) {
			t.Errorf("%s: %d files for %d sessions (%v)", dir, len(files), len(all), err)
		}
	}
}

// MergeUpdate brings a receiver through every session, and refuses what it must.
func TestMergeUpdate(t *testing.T) {
	for name, s := range sessions() {
		for i, parse := range []func([]byte, *Message) error{ParseMessage, ParseMessageJSON} {
			got, err := s.play(t, parse, i == 1)
			if diff := cmp.Diff(s.held(t), got); diff != "" || err != nil {
				t.Errorf("%s: %v\n%s", name, err, diff)
			}
		}
	}
	for name, s := range refusedSessions() {
		got, err := s.play(t, ParseMessageJSON, true)
		if diff := cmp.Diff(s.held(t), got); diff != "" || !errors.Is(err, ErrScale) {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// held is what the session must end in, as JSON.
func (s *session) held(t *testing.T) (q map[string]any) {
	t.Helper()
	raw, _ := json.Marshal(s.Quotes[btc])
	if err := json.Unmarshal(raw, &q); err != nil {
		t.Fatal(err)
	}
	return q
}

// play merges the updates of the one symbol until one is refused.
func (s *session) play(t *testing.T, parse func([]byte, *Message) error, text bool) (held map[string]any, refused error) {
	t.Helper()
	q, seq := Empty, int64(0)
	for _, one := range s.Messages {
		raw, _ := hex.DecodeString(one.Msgpack)
		if text {
			raw = []byte(one.JSON)
		}
		var m Message
		if err := parse(raw, &m); err != nil {
			t.Fatal(err)
		}
		for i := range m.Updates {
			u := &m.Updates[i]
			if text && m.Symbols[i] != btc || !text && u.ID != 7 {
				continue
			}
			if refused = q.MergeUpdate(u); refused == nil {
				seq = u.Seq
			}
		}
	}
	if err := json.Unmarshal(AppendQuoteJSON(nil, seq, &q), &held); err != nil {
		t.Fatal(err)
	}
	return held, refused
}
