package bench

import (
	"bytes"
	"encoding/json"

	"github.com/gobwas/ws"
)

// socketioPeer speaks Socket.IO 5 over Engine.IO 4, on a WebSocket from the start. An
// event with bytes comes as two frames: its text with a place for them, then the bytes.
type socketioPeer struct {
	load   *Load
	binary []bool // by conn: an event's bytes come next
}

func (*socketioPeer) head(e *Endpoint) []byte {
	return upgradeHead(e.Host, "/socket.io/?EIO=4&transport=websocket", "")
}

// opened waits: the server speaks first.
func (s *socketioPeer) opened(w *worker, c *conn) { s.binary[w.index(c)] = false }

func (s *socketioPeer) message(w *worker, c *conn, op ws.OpCode, payload []byte) error {
	next := &s.binary[w.index(c)]
	if *next {
		*next = false
		if op != ws.OpBinary {
			return errPeerUpdate
		}
		w.count.Messages++
		return w.takeOfPeer(c, payload)
	}
	kind := parseSocketio(payload)
	if op != ws.OpText {
		kind = socketioOther
	}
	switch kind {
	case socketioOpen:
		return s.say(w, c, "40")
	case socketioConnected:
		request, err := json.Marshal([]any{"subscribe", w.wantOfPeer(c)})
		if err != nil {
			return err
		}
		return s.say(w, c, "42"+string(request))
	case socketioPing:
		return s.say(w, c, "3")
	case socketioBinary:
		*next = true
		return nil
	}
	return errPeerUpdate
}

func (*socketioPeer) say(w *worker, c *conn, text string) error {
	w.out = appendFrame(w.out[:0], ws.OpText, []byte(text))
	w.write(c, w.out)
	return nil
}

// socketioKind is what a text frame is.
type socketioKind uint8

const (
	socketioOther     socketioKind = iota
	socketioOpen                   // 0{...}: of Engine.IO
	socketioPing                   // 2
	socketioConnected              // 40{...}
	socketioBinary                 // 451-["u",{"_placeholder":true,"num":0}]
)

var socketioEvent = []byte(`451-["u",{"_placeholder":true,"num":0}]`)

func parseSocketio(p []byte) socketioKind {
	switch {
	case bytes.Equal(p, socketioEvent):
		return socketioBinary
	case bytes.Equal(p, []byte{'2'}):
		return socketioPing
	case bytes.HasPrefix(p, []byte("0{")):
		return socketioOpen
	case bytes.HasPrefix(p, []byte("40")):
		return socketioConnected
	}
	return socketioOther
}
