package tapes

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

const epoch0 = 1700000000000

// writer writes a stream as the contract of the tape has it, but for what a test spoils.
type writer struct {
	t       *testing.T
	rdb     redis.UniversalClient
	stream  string
	id      codec.ID // of the last entry
	history int64
	state   map[string]*codec.Update
	sentAt  func() int64
	over    bool                                                  // nothing more can be written
	spoil   func(e *codec.Entry, images map[string]*codec.Update) // of every checkpoint
}

// newWriter lists a stream, and begins a reign and a history.
func newWriter(t *testing.T, rdb redis.UniversalClient, stream string) *writer {
	t.Helper()
	w := &writer{
		t: t, rdb: rdb, stream: stream, history: epoch0, state: map[string]*codec.Update{},
		sentAt: func() int64 { return time.Now().UnixMicro() },
		spoil:  func(*codec.Entry, map[string]*codec.Update) {},
	}
	if err := rdb.SAdd(context.Background(), codec.TapesKey, stream).Err(); err != nil {
		t.Fatal(err)
	}
	w.reign(epoch0, codec.ID{})
	return w
}

func (w *writer) reign(epoch int64, prev codec.ID) {
	w.id = codec.ID{Epoch: epoch}
	w.entry(codec.Entry{ID: w.id, Prev: prev}, nil)
}

// entry writes one; its history and time are the writer's where it has none.
func (w *writer) entry(e codec.Entry, body []byte) {
	if e.History == 0 {
		e.History = w.history
	}
	e.SentAt = w.sentAt()
	w.raw(e.ID.String(), codec.AppendEntry(nil, &e, body))
}

// raw writes any bytes as an entry.
func (w *writer) raw(id string, blob []byte) {
	args := &redis.XAddArgs{Stream: codec.TapeKey(w.stream), ID: id, Values: []any{codec.EntryField, blob}}
	if err := w.rdb.XAdd(context.Background(), args).Err(); err != nil {
		w.t.Error(err)
	}
}

// next is the entry to come.
func (w *writer) next() codec.Entry {
	prev := w.id
	w.id.N++
	return codec.Entry{ID: w.id, Prev: prev}
}

// set changes a symbol's bid, in 10^-2, and appends the update to a body.
func (w *writer) set(body []byte, symbol string, bid int64) []byte {
	u := w.state[symbol]
	if u == nil {
		u = &codec.Update{Seq: w.history * 1000, History: w.history, Quote: codec.Empty, Flags: codec.Image}
		u.Quote[codec.Status], u.Quote[codec.PriceScale] = codec.Live, 2
		w.state[symbol] = u
	}
	u.Seq++
	u.Quote[codec.Bid] = bid
	if u.Mask = 1 << codec.Bid; u.Flags&codec.Image != 0 {
		u.Mask = u.Quote.Present()
	}
	body = codec.AppendTapeUpdate(body, symbol, u)
	u.Flags = 0
	return body
}

// tick writes an entry with a new bid for each symbol; none is a heartbeat.
func (w *writer) tick(bid int64, symbols ...string) {
	var body []byte
	for _, symbol := range symbols {
		body = w.set(body, symbol, bid)
	}
	e := w.next()
	e.Count = len(symbols)
	w.entry(e, body)
}

// checkpoint writes all images as of the last entry.
func (w *writer) checkpoint() {
	images := map[string]*codec.Update{}
	for symbol, u := range w.state {
		image := *u
		image.Flags, image.Mask = codec.Image, image.Quote.Present()
		images[symbol] = &image
	}
	e := codec.Entry{ID: w.id, History: w.history, SentAt: w.sentAt()}
	w.spoil(&e, images)
	var body []byte
	for symbol, u := range images {
		body = codec.AppendTapeUpdate(body, symbol, u)
	}
	e.Count = len(images)
	w.setCheckpoint(codec.AppendEntry(nil, &e, body))
}

func (w *writer) setCheckpoint(blob []byte) {
	if err := w.rdb.Set(context.Background(), codec.CheckpointKey(w.stream), blob, 0).Err(); err != nil {
		w.t.Error(err)
	}
}

// run writes until the test ends, or stop is called: a tick of x:A every 20 ms, and every 200
// ms a checkpoint. do is called once, with the 40th tick.
func (w *writer) run(do func(*writer)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; sleep(ctx, 20*time.Millisecond); n++ {
			if n == 40 && do != nil {
				do(w)
			}
			if w.over {
				return
			}
			w.tick(int64(n), "x:A")
			if n%10 == 0 {
				w.checkpoint()
			}
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(stop)
	return stop
}
