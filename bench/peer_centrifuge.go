package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/gobwas/ws"
)

// centrifugePeer speaks Centrifuge's protocol in protobuf: a frame holds several
// messages, each after its length.
type centrifugePeer struct{ load *Load }

func (centrifugePeer) head(e *Endpoint) []byte {
	return upgradeHead(e.Host, "/connection/websocket", "Sec-WebSocket-Protocol: centrifuge-protobuf\r\n")
}

// Numbers of the fields that matter, in Centrifuge's client.proto.
const (
	cfCommandID        = 1
	cfCommandConnect   = 4
	cfCommandSubscribe = 5
	cfSubscribeChannel = 1

	cfReplyError     = 2
	cfReplyPush      = 4
	cfErrorMessage   = 2
	cfPushPub        = 4
	cfPublicationRaw = 4
)

// opened sends the connect and all subscribes in one frame.
func (centrifugePeer) opened(w *worker, c *conn) {
	names := w.wantOfPeer(c)
	p := appendDelimited(nil, appendBytesField([]byte{cfCommandID << 3, 1}, cfCommandConnect, nil))
	for i, name := range names {
		command := binary.AppendUvarint([]byte{cfCommandID << 3}, uint64(i+2))
		p = appendDelimited(p, appendBytesField(command, cfCommandSubscribe, appendBytesField(nil, cfSubscribeChannel, []byte(name))))
	}
	w.out = appendFrame(w.out[:0], ws.OpBinary, p)
	w.write(c, w.out)
}

func (centrifugePeer) message(w *worker, c *conn, op ws.OpCode, payload []byte) error {
	if op != ws.OpBinary {
		return errPeerUpdate
	}
	brought := int64(0)
	for len(payload) > 0 {
		reply, rest, ok := delimited(payload)
		if !ok {
			return errPeerUpdate
		}
		payload = rest
		if len(reply) == 0 { // a ping
			w.out = appendFrame(w.out[:0], ws.OpBinary, []byte{0})
			if !w.write(c, w.out) {
				return nil
			}
			continue
		}
		data, refused, err := parseCentrifugeReply(reply)
		if err != nil {
			return err
		}
		if refused != "" {
			w.count.Refused[refused]++
		}
		if data != nil {
			brought = 1
			if err := w.takeOfPeer(c, data); err != nil {
				return err
			}
		}
	}
	w.count.Messages += brought
	return nil
}

// parseCentrifugeReply finds the data of a publication, or an error's text, in a reply;
// others have neither.
func parseCentrifugeReply(p []byte) (data []byte, refused string, err error) {
	if text, ok := field(p, cfReplyError); ok {
		message, _ := field(text, cfErrorMessage)
		return nil, fmt.Sprintf("centrifuge: %s", message), nil
	}
	push, ok := field(p, cfReplyPush)
	if !ok {
		if _, _, _, ok := nextField(p); !ok {
			return nil, "", errPeerUpdate
		}
		return nil, "", nil
	}
	pub, ok := field(push, cfPushPub)
	if !ok {
		return nil, "", nil
	}
	data, ok = field(pub, cfPublicationRaw)
	if !ok {
		return nil, "", errPeerUpdate
	}
	return data, "", nil
}

func appendDelimited(dst, message []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(message))), message...)
}

func appendBytesField(dst []byte, number int, value []byte) []byte {
	return appendDelimited(append(dst, byte(number<<3|2)), value)
}

// delimited takes a length and as many bytes off p.
func delimited(p []byte) (value, rest []byte, ok bool) {
	n, size := binary.Uvarint(p)
	if size <= 0 || n > uint64(len(p)-size) {
		return nil, p, false
	}
	return p[size : size+int(n)], p[size+int(n):], true
}

// field is the first value of a number in a protobuf message, when that is bytes.
func field(p []byte, number int) (value []byte, ok bool) {
	for len(p) > 0 {
		n, value, rest, ok := nextField(p)
		if !ok {
			return nil, false
		}
		if n == number {
			return value, true
		}
		p = rest
	}
	return nil, false
}

// nextField takes a field off a protobuf message; value is nil unless it is bytes.
func nextField(p []byte) (number int, value, rest []byte, ok bool) {
	tag, size := binary.Uvarint(p)
	if size <= 0 || tag>>3 == 0 || tag>>3 >= 1<<29 {
		return 0, nil, p, false
	}
	number, rest = int(tag>>3), p[size:]
	switch tag & 7 {
	case 0:
		if _, size = binary.Uvarint(rest); size <= 0 {
			return 0, nil, p, false
		}
		return number, nil, rest[size:], true
	case 1, 5:
		n := 8
		if tag&7 == 5 {
			n = 4
		}
		if len(rest) < n {
			return 0, nil, p, false
		}
		return number, nil, rest[n:], true
	case 2:
		value, rest, ok = delimited(rest)
		return number, value, rest, ok
	}
	return 0, nil, p, false
}
