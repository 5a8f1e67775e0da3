package client

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"

	"github.com/tickwire/tickwire/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(examples{m}) }

// examples are the tests, beside a node for those that are documentation.
type examples struct{ *testing.M }

func (e examples) Run() int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	os.Setenv("TICKWIRE_URL", "ws://"+ln.Addr().String())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go show(c)
		}
	}()
	code := e.M.Run()
	ln.Close()
	<-ended
	return code
}

// show is what an example sees of a node: sim:ACORN-USD, an image of it and a delta.
func show(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(soon))
	up := ws.Upgrader{Protocol: func([]byte) bool { return true }}
	if _, err := up.Upgrade(c); err != nil {
		return
	}
	say := func(m codec.Control) { wsutil.WriteServerBinary(c, codec.AppendControl(nil, m)) }
	say(&codec.Hello{Protocol: codec.Version, Node: "example", Fields: codec.FieldNames[:], Heartbeat: 60_000,
		Limits: codec.Limits{RequestBytes: 64 << 10, RequestSymbols: 4096, Subs: 10, RequestsPerSecond: 50}})
	asked, err := wsutil.ReadClientBinary(c)
	var r codec.Request
	if err != nil || codec.ParseRequest(asked, &r) != nil {
		return
	}
	id, rate, view := uint32(1), r.Rate, codec.Mask(0)
	reply := &codec.Reply{ID: r.ID, Op: r.Op, Rate: &rate, Results: []codec.Result{{Symbol: "sim:ACORN-USD", ID: &id}}}
	for _, name := range r.Fields {
		f, _ := codec.FieldByName(string(name))
		view |= 1 << f
	}
	if reply.Fields = view.WithScales(); len(r.Symbols) > 1 {
		reply.Results = append(reply.Results, codec.Result{Symbol: string(r.Symbols[1]), Error: codec.NewError(nil, codec.CodeUnknownSymbol, "not on the board")})
	}
	say(reply)
	u := codec.Update{ID: id, Seq: 11, History: 10, Flags: codec.Image, Mask: 1<<codec.Bid | 1<<codec.Ask | 1<<codec.PriceScale, Quote: codec.Empty}
	u.Quote[codec.Bid], u.Quote[codec.Ask], u.Quote[codec.PriceScale] = 83192, 83216, 2
	send := func() {
		wsutil.WriteServerBinary(c, codec.AppendUpdate(codec.AppendDataHeader(nil, time.Now().UnixMicro(), 1), &u))
	}
	send()
	u.Seq, u.Flags, u.Mask = 14, codec.Conflated|codec.ReasonRate, 1<<codec.Bid
	u.Quote[codec.Bid] = 83195
	send()
	wsutil.ReadClientBinary(c)
}
