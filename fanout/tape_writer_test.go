package fanout

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// writer writes a stream as the contract of the tape has it, and knows what it wrote.
type writer struct {
	t       *testing.T
	rdb     redis.Cmdable
	stream  string
	id      codec.ID // of the last entry written
	history int64
	state   map[string]*codec.Update
}

const epoch0 = 1700000000000

// newWriter begins a reign, and a history, with a fence.
func newWriter(t *testing.T, rdb redis.Cmdable, stream string) *writer {
	t.Helper()
	w := &writer{t: t, rdb: rdb, stream: stream, history: epoch0, state: make(map[string]*codec.Update)}
	w.reign(epoch0, codec.ID{})
	return w
}

// reign writes a fence that names the entry before it.
func (w *writer) reign(epoch int64, prev codec.ID) {
	w.t.Helper()
	w.id = codec.ID{Epoch: epoch}
	w.write(codec.Entry{ID: w.id, Prev: prev}, nil)
}

// begin is a writer's that found nothing: a new reign and a new history.
func (w *writer) begin(epoch int64) {
	w.t.Helper()
	w.history, w.state = epoch, make(map[string]*codec.Update)
	w.reign(epoch, codec.ID{})
}

func (w *writer) write(e codec.Entry, body []byte) {
	w.t.Helper()
	e.History, e.SentAt = w.history, time.Now().UnixMicro()
	w.raw(e.ID, codec.AppendEntry(nil, &e, body))
}

// raw writes any bytes as an entry.
func (w *writer) raw(id codec.ID, blob []byte) {
	w.t.Helper()
	args := &redis.XAddArgs{Stream: codec.TapeKey(w.stream), ID: id.String(), Values: []any{codec.EntryField, blob}}
	if err := w.rdb.XAdd(context.Background(), args).Err(); err != nil {
		w.t.Fatal(err)
	}
}

// set changes a symbol's bid and appends the update to a body.
func (w *writer) set(body []byte, symbol string, bid int64) []byte {
	u := w.state[symbol]
	if u == nil {
		u = &codec.Update{Seq: w.history, History: w.history, Quote: codec.Empty, Flags: codec.Image}
		u.Quote[codec.Status] = codec.Live
		w.state[symbol] = u
	}
	u.Seq++
	u.Quote[codec.Bid], u.Quote[codec.PriceScale] = bid, 2
	if u.Mask = 1<<codec.Bid | 1<<codec.PriceScale; u.Flags&codec.Image != 0 {
		u.Mask = u.Quote.Present()
	}
	body = codec.AppendTapeUpdate(body, symbol, u)
	u.Flags = 0
	return body
}

// tick writes an entry with a new bid for each symbol; none is a heartbeat.
func (w *writer) tick(bid int64, symbols ...string) {
	w.t.Helper()
	e, body := w.next(bid, symbols...)
	w.write(e, body)
}

// lose numbers an entry that never gets to the tape.
func (w *writer) lose(bid int64, symbols ...string) { w.next(bid, symbols...) }

func (w *writer) next(bid int64, symbols ...string) (codec.Entry, []byte) {
	var body []byte
	for _, symbol := range symbols {
		body = w.set(body, symbol, bid)
	}
	prev := w.id
	w.id.N++
	return codec.Entry{ID: w.id, Prev: prev, Count: len(symbols)}, body
}

// checkpoint writes all images as of the last entry.
func (w *writer) checkpoint() {
	w.t.Helper()
	var body []byte
	for symbol, u := range w.state {
		image := *u
		image.Flags, image.Mask = codec.Image, image.Quote.Present()
		body = codec.AppendTapeUpdate(body, symbol, &image)
	}
	e := codec.Entry{ID: w.id, History: w.history, Count: len(w.state)}
	ctx := context.Background()
	if err := w.rdb.Set(ctx, codec.CheckpointKey(w.stream), codec.AppendEntry(nil, &e, body), 0).Err(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.rdb.SAdd(ctx, codec.TapesKey, w.stream).Err(); err != nil {
		w.t.Fatal(err)
	}
}
