package bench

import (
	"fmt"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/encoding/protowire"
)

// centrifugePeer speaks Centrifuge's protocol in protobuf: a frame holds several
// messages, each after its length.
type centrifugePeer struct{ load *Load }

func (centrifugePeer) head(e *Endpoint, _ *conn) []byte {
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
	p := protowire.AppendBytes(nil, appendBytesField([]byte{cfCommandID << 3, 1}, cfCommandConnect, nil))
	for i, name := range names {
		command := protowire.AppendVarint([]byte{cfCommandID << 3}, uint64(i+2))
		p = protowire.AppendBytes(p, appendBytesField(command, cfCommandSubscribe, appendBytesField(nil, cfSubscribeChannel, []byte(name))))
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
		reply, size := protowire.ConsumeBytes(payload)
		if size < 0 {
			return errPeerUpdate
		}
		payload = payload[size:]
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
			countReason(w.count.Refused, refused)
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
		if _, _, size := protowire.ConsumeField(p); size < 0 {
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

func appendBytesField(dst []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, number, protowire.BytesType), value)
}

// field is the first value of a number in a protobuf message, when that is bytes.
func field(p []byte, number protowire.Number) (value []byte, ok bool) {
	for len(p) > 0 {
		n, kind, size := protowire.ConsumeTag(p)
		if size < 0 {
			return nil, false
		}
		p = p[size:]
		if n == number {
			value, size = protowire.ConsumeBytes(p)
			return value, kind == protowire.BytesType && size >= 0
		}
		if size = protowire.ConsumeFieldValue(n, kind, p); size < 0 {
			return nil, false
		}
		p = p[size:]
	}
	return nil, false
}
