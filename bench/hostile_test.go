package bench

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// upgradeThen lets a subscriber in, numbers its symbol, and sends frames.
func upgradeThen(frames ...ws.Frame) func(net.Conn) {
	return func(c net.Conn) {
		u := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == codec.ProtocolMsgpack }}
		if _, err := u.Upgrade(c); err != nil {
			return
		}
		reply := ws.NewTextFrame([]byte(`{"type":"reply","id":1,"results":[{"symbol":"sim:A","id":7}]}`))
		for _, f := range append([]ws.Frame{reply}, frames...) {
			if ws.WriteFrame(c, f) != nil {
				return
			}
		}
		for buf := make([]byte, 4096); ; { // until the subscriber has gone
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}
}

// image is a data message of one update.
func image(id uint32, seq int64) []byte {
	u := codec.Update{ID: id, Seq: seq, Flags: codec.Image, History: 1, Mask: 1 << codec.Bid, Quote: codec.Empty}
	u.Quote[codec.Bid] = 1
	return codec.AppendUpdate(codec.AppendDataHeader(nil, 1, 1), &u)
}

// A server may say anything: a subscriber that is told what its protocol forbids says so,
// in words that a terminal can show, and neither dies nor waits for more than there is.
func TestHostileServers(t *testing.T) {
	binary := func(p []byte) ws.Frame { return ws.NewBinaryFrame(p) }
	good := image(7, 5)
	for name, test := range map[string]struct {
		script func(net.Conn)
		want   string // in what was wrong, or why conns were lost
	}{
		"the type in two bytes":    {upgradeThen(binary(append([]byte{good[0], 0xcc}, good[1:]...))), ""},
		"a number not asked for":   {upgradeThen(binary(image(8, 5))), "not asked for"},
		"a number of 33 bits":      {upgradeThen(binary(append([]byte{0x93, 0, 1, 0x96, 0xcf, 0, 0, 0, 1, 0, 0, 0, 7}, good[4:]...))), errServer.Error()},
		"seq 0":                    {upgradeThen(binary(image(7, 0))), "no seq"},
		"bytes after the last":     {upgradeThen(binary(append(image(7, 5), 1))), "after the last update"},
		"op code 3":                {upgradeThen(ws.NewFrame(3, true, good)), "op code 3"},
		"a part":                   {upgradeThen(ws.NewFrame(ws.OpBinary, false, good)), "fragments"},
		"a long ping":              {upgradeThen(ws.NewPingFrame(make([]byte, 126))), "control frame"},
		"two mebibytes":            {upgradeThen(binary(make([]byte, 2*messageMax))), "a frame of"},
		"more results than asked":  {upgradeThen(ws.NewTextFrame([]byte(`{"type":"reply","id":1,"results":[{"symbol":"sim:A","id":7},{"symbol":"sim:A","id":8}]}`))), "2 results for 1 symbols"},
		"escapes in a close frame": {upgradeThen(ws.NewCloseFrame(ws.NewCloseFrameBody(4000, "\x1b[31m\nVERIFIED\u202e"))), "closed by the server: 4000 [31m VERIFIED"},
		"a head without an end": {func(c net.Conn) {
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		}, "without an end"},
		"escapes in a refusal": {func(c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 403 \x1b[2J\r\nContent-Length: 6\r\n\r\nno\nway\a")
		}, "403 [2J no way"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := newWorker(&Load{Nodes: []Endpoint{server(t, test.script)}, Symbols: []string{"sim:A"}, Conns: 1, Subs: 1, Ramp: 1000})
			if err != nil {
				t.Fatal(err)
			}
			defer w.poll.Close()
			said := ""
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
				if err := w.cycle(); err != nil {
					t.Fatal(err)
				}
				said = fmt.Sprint(w.count.Lost, w.count.Wrong, w.count.Examples)
				if test.want == "" && w.count.Updates == 1 && w.ready == 1 || test.want != "" && strings.Contains(said, test.want) {
					break
				}
			}
			if !strings.Contains(said, test.want) || test.want == "" && w.count.Updates != 1 || strings.ContainsFunc(said, unicode.IsControl) {
				t.Errorf("%q, %d updates", said, w.count.Updates)
			}
		})
	}
}

// However many reasons a server makes up, a few are told apart.
func TestReasons(t *testing.T) {
	m := map[string]int64{}
	for i := range 10 * reasonsMax {
		countReason(m, fmt.Sprint(i, strings.Repeat("x", i)))
	}
	if len(m) != reasonsMax+1 || m["others"] != 9*reasonsMax {
		t.Errorf("%d reasons, %d others", len(m), m["others"])
	}
}
