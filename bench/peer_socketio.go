package bench

import (
	"bytes"

	"github.com/gobwas/ws"
	"github.com/vmihailenco/msgpack/v5"
)

// socketioPeer speaks Socket.IO 5 over Engine.IO 4, on a WebSocket from the start, with
// the msgpack parser that its documentation advises for binary data: a packet is a
// binary frame. Engine.IO's own words are text.
type socketioPeer struct{ load *Load }

// socketioPacket is a packet of a subscriber.
type socketioPacket struct {
	Type int    `msgpack:"type"`
	Data any    `msgpack:"data,omitempty"`
	NSP  string `msgpack:"nsp"`
}

// Types of packets.
const (
	socketioConnect = iota
	socketioDisconnect
	socketioEvent
)

func (socketioPeer) head(e *Endpoint, _ *conn) []byte {
	return upgradeHead(e.Host, "/socket.io/?EIO=4&transport=websocket", "")
}

// opened waits: the server speaks first.
func (socketioPeer) opened(*worker, *conn) {}

func (s socketioPeer) message(w *worker, c *conn, op ws.OpCode, payload []byte) error {
	if op == ws.OpText {
		switch {
		case bytes.HasPrefix(payload, []byte("0{")): // it says who it is
			return s.say(w, c, &socketioPacket{Type: socketioConnect, NSP: "/"})
		case bytes.Equal(payload, []byte{'2'}): // a ping
			w.out = appendFrame(w.out[:0], ws.OpText, []byte{'3'})
			w.write(c, w.out)
			return nil
		}
		return errPeerUpdate
	}
	if update, ok := socketioUpdate(payload); ok {
		w.count.Messages++
		return w.takeOfPeer(c, update)
	}
	var p struct { // data has what vmihailenco does not know: an undefined of JavaScript
		Type int `msgpack:"type"`
	}
	if err := msgpack.Unmarshal(payload, &p); err != nil || p.Type != socketioConnect {
		return errPeerUpdate
	}
	return s.say(w, c, &socketioPacket{Type: socketioEvent, NSP: "/", Data: []any{"subscribe", w.wantOfPeer(c)}})
}

func (socketioPeer) say(w *worker, c *conn, p *socketioPacket) error {
	packet, err := msgpack.Marshal(p)
	if err != nil {
		return err
	}
	w.out = appendFrame(w.out[:0], ws.OpBinary, packet)
	w.write(c, w.out)
	return nil
}

// An event "u" of one update is always written the same way around it.
var (
	socketioBefore = []byte("\x83\xa4type\x02\xa4data\x92\xa1u\xc4\x24")
	socketioAfter  = []byte("\xa3nsp\xa1/")
)

// socketioUpdate is what an event holds, if it is one.
func socketioUpdate(p []byte) (update []byte, ok bool) {
	p, before := bytes.CutPrefix(p, socketioBefore)
	p, after := bytes.CutSuffix(p, socketioAfter)
	return p, before && after
}
