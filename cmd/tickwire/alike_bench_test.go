package main

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/prometheus/procfs"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// BenchmarkClients has the three clients take what they can, each of its own server, which
// writes as fast as it is read: 200 symbols, and as many updates in a message as the name
// says, each of a bid, an ask, their sizes and two times. A client merges, and hands every update
// to its user, who counts. What is measured is the CPU time of its process.
func BenchmarkClients(b *testing.B) {
	for _, encoding := range []string{"msgpack", "json"} {
		for _, perMessage := range []int{1, 20, 200} {
			for _, name := range []string{"Go", "TypeScript", "Python"} {
				b.Run(fmt.Sprintf("%s/%s/%d", name, encoding, perMessage), func(b *testing.B) {
					port := tapetest.Port(b)
					pretend(b, port, func(c net.Conn) { drown(c, encoding, perMessage) })
					cfg := visitorConfig{URL: "ws://127.0.0.1:" + port + "/v1/stream", Encoding: encoding, Symbols: floodSymbols()}
					takes(b, speak(b, name, cfg))
				})
			}
		}
	}
}

const floodFor = 3 * time.Second

// takes reports what a client takes in a while.
func takes(b *testing.B, s *speaker) {
	warm := 0
	for s.ask("updates", &warm) != nil || warm < 1000 {
		time.Sleep(50 * time.Millisecond)
	}
	for b.Loop() {
		from, before := cpuOf(b, s), 0
		if err := s.ask("updates", &before); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		time.Sleep(floodFor)
		after := 0
		if err := s.ask("updates", &after); err != nil {
			b.Fatal(err)
		}
		n := float64(after - before)
		b.ReportMetric(n/(cpuOf(b, s)-from), "updates/core-s")
		b.ReportMetric(n/time.Since(began).Seconds(), "updates/s")
		b.ReportMetric(0, "ns/op")
	}
}

// cpuOf is the CPU time of a client's process, in seconds.
func cpuOf(b *testing.B, s *speaker) float64 {
	p, err := procfs.NewProc(s.cmd.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	stat, err := p.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return stat.CPUTime()
}

func floodSymbols() (symbols []string) {
	for i := range 200 {
		symbols = append(symbols, fmt.Sprintf("sim:S%d-USD", i))
	}
	return symbols
}

// asked is the next request of a client, which may be in JSON whatever it is answered in.
func asked(c net.Conn) (r codec.Request, err error) {
	message, op, err := wsutil.ReadClientData(c)
	switch {
	case err != nil:
	case op == ws.OpText:
		err = codec.ParseRequestJSON(message, &r)
	default:
		err = codec.ParseRequest(message, &r)
	}
	return r, err
}

// drown answers the first request, and then sends images and updates until the client goes.
func drown(c net.Conn, encoding string, perMessage int) {
	control, op := codec.AppendControl, ws.OpBinary
	if encoding == "json" {
		control, op = codec.AppendControlJSON, ws.OpText
	}
	out := bufio.NewWriterSize(c, 64<<10)
	send := func(message []byte) error { return wsutil.WriteServerMessage(out, op, message) }
	send(control(nil, helloOf(codec.Version)))
	out.Flush()
	r, err := asked(c)
	if err != nil {
		return
	}
	go func() { // its pongs, and what else it says
		for buf := make([]byte, 4096); ; {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	rate, symbols := 0.0, floodSymbols()
	reply := &codec.Reply{ID: r.ID, Op: r.Op, Rate: &rate}
	for i := range symbols {
		id := uint32(i)
		reply.Results = append(reply.Results, codec.Result{Symbol: symbols[i], ID: &id})
	}
	send(control(nil, reply))
	u := codec.Update{History: 1, Quote: codec.Empty}
	u.Quote[codec.PriceScale], u.Quote[codec.SizeScale] = 2, 5
	delta := codec.Mask(1<<codec.Bid | 1<<codec.BidSize | 1<<codec.Ask | 1<<codec.AskSize | 1<<codec.EventTime | 1<<codec.RecvTime)
	var message []byte
	for n := int64(0); ; {
		us := time.Now().UnixMicro()
		if message = codec.AppendDataHeader(message[:0], us, perMessage); encoding == "json" {
			message = codec.AppendDataHeaderJSON(message[:0], us)
		}
		for i := range perMessage {
			k := int(n) % len(symbols)
			u.ID, u.Seq, u.Flags, u.Mask = uint32(k), 2+n/int64(len(symbols)), 0, delta
			if u.Seq == 2 {
				u.Flags, u.Mask = codec.Image, delta.WithScales()
			}
			u.Quote[codec.Bid], u.Quote[codec.BidSize] = 6183763+n%97, 378826+n%83
			u.Quote[codec.Ask], u.Quote[codec.AskSize] = 6183770+n%89, 154698+n%79
			u.Quote[codec.EventTime], u.Quote[codec.RecvTime] = us-900, us-300
			if n++; encoding == "msgpack" {
				message = codec.AppendUpdate(message, &u)
				continue
			}
			if i > 0 {
				message = append(message, ',')
			}
			message = codec.AppendUpdateJSON(message, symbols[k], &u)
		}
		if encoding == "json" {
			message = codec.AppendDataEndJSON(message)
		}
		if send(message) != nil {
			return
		}
	}
}
