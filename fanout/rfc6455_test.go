package fanout

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// rule is a rule of RFC 6455: what a client sends behind the upgrade, and all that comes
// back until the node ends the connection.
type rule struct {
	section string
	name    string
	send    []byte
	want    string
}

// frames are those of a client, one behind the other.
func frames(all ...[]byte) []byte { return bytes.Join(all, nil) }

func textFrame(s string) []byte  { return masked(ws.OpText, true, []byte(s)) }
func beginFrame(s string) []byte { return masked(ws.OpText, false, []byte(s)) }
func moreFrame(s string) []byte  { return masked(ws.OpContinuation, false, []byte(s)) }
func endFrame(s string) []byte   { return masked(ws.OpContinuation, true, []byte(s)) }
func pingFrame(s string) []byte  { return masked(ws.OpPing, true, []byte(s)) }

func closeFrame(code int, reason string) []byte {
	return masked(ws.OpClose, true, ws.NewCloseFrameBody(ws.StatusCode(code), reason))
}

// first has the first byte of a frame otherwise.
func first(b byte, frame []byte) []byte { return append([]byte{b}, frame[1:]...) }

const ping1 = `{"op":"ping","id":1}`

func rules() []rule {
	long := strings.Repeat("x", limitBytesMost)
	every := make([]byte, 125)
	for i := range every {
		every[i] = byte(2 * i)
	}
	all := []rule{
		{"5.1", "a frame that is not masked", appendFrame(nil, ws.OpText, []byte(ping1)), "close 1002"},
		{"5.1", "a close frame that is not masked", appendFrame(nil, ws.OpClose, ws.NewCloseFrameBody(1000, "")), "close 1002"},
		{"5.2", "a 16-bit length below 126", []byte{0x81, 0xfe, 0, 125, 1, 2, 3, 4}, "close 1002"},
		{"5.2", "a 64-bit length below 65,536", []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4}, "close 1002"},
		{"5.2", "a length of 2^63", []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, "close 1002"},
		{"10.4", "a length of 2^63-1", []byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, "close 1009"},
		{"10.4", "a message of 65,536 bytes", masked(ws.OpBinary, true, []byte(long)), "error, close 1000"},
		{"10.4", "a message of 65,537 bytes", masked(ws.OpBinary, true, []byte(long+"x")), "close 1009"},
		{"10.4", "fragments of 65,537 bytes", frames(beginFrame(long), endFrame("x")), "close 1009"},
		{"5.4", "a continuation without a beginning", endFrame("x"), "close 1002"},
		{"5.4", "a continuation behind the end", frames(beginFrame(ping1[:5]), endFrame(ping1[5:]), endFrame("x")), "reply 1, close 1002"},
		{"5.4", "text inside fragments", frames(beginFrame(ping1[:5]), textFrame(ping1)), "close 1002"},
		{"5.4", "binary inside fragments", frames(beginFrame(ping1[:5]), masked(ws.OpBinary, true, nil)), "close 1002"},
		{"5.4", "fragments, some empty", frames(beginFrame(""), moreFrame(ping1[:5]), moreFrame(""), moreFrame(ping1[5:]), endFrame("")), "reply 1, close 1000"},
		{"5.4", "a ping inside fragments is answered before them", frames(beginFrame(ping1[:5]), pingFrame("now"), endFrame(ping1[5:])), "pong now, reply 1, close 1000"},
		{"5.5", "a ping of 125 bytes", pingFrame(string(every)), "pong " + string(every) + ", close 1000"},
		{"5.5", "a ping of 126 bytes", masked(ws.OpPing, true, make([]byte, 126)), "close 1002"},
		{"5.5", "a ping in fragments", masked(ws.OpPing, false, nil), "close 1002"},
		{"5.5", "a pong in fragments", masked(ws.OpPong, false, nil), "close 1002"},
		{"5.5", "a close frame in fragments", masked(ws.OpClose, false, nil), "close 1002"},
		{"5.5", "a close frame of 126 bytes", masked(ws.OpClose, true, append([]byte{3, 232}, make([]byte, 124)...)), "close 1002"},
		{"5.5.1", "what follows a close frame is not read", frames(closeFrame(1000, ""), textFrame(ping1), pingFrame("x")), "close 1000"},
		{"5.5.1", "a close frame inside fragments", frames(beginFrame(ping1[:5]), closeFrame(1001, "")), "close 1001"},
		{"5.5.1", "an empty close frame", masked(ws.OpClose, true, nil), "close 1000"},
		{"5.5.1", "a close frame of 1 byte", masked(ws.OpClose, true, []byte{3}), "close 1002"},
		{"5.5.1", "a reason that is not UTF-8", closeFrame(1000, "\xff"), "close 1007"},
		{"5.5.1", "a reason of half a rune", closeFrame(1000, "\xe2\x82"), "close 1007"},
		{"5.5.2", "an empty ping", pingFrame(""), "pong , close 1000"},
		{"5.5.2", "pings are answered in turn", frames(pingFrame("a"), pingFrame("b")), "pong a, pong b, close 1000"},
		{"5.5.3", "a pong that nobody waits for", masked(ws.OpPong, true, []byte("x")), "close 1000"},
		{"5.6", "text that is not UTF-8", textFrame("\xce\xba\xed\xa0\x80"), "close 1007"},
		{"5.6", "binary that is not UTF-8", masked(ws.OpBinary, true, []byte("\xff")), "error, close 1000"},
		{"8.1", "a rune across fragments", frames(beginFrame(`{"op":"ping","id":1,"x":"`+"\xe2\x82"), pingFrame(""), endFrame("\xac"+`"}`)), "pong , reply 1, close 1000"},
		{"8.1", "half a rune at the end of fragments", frames(beginFrame("\xe2"), endFrame("\x82")), "close 1007"},
		{"8.1", "a fragment that spoils what is to come", frames(beginFrame("\xe2\x82"), moreFrame("\xe2")), "close 1007"},
		{"5.2", "many frames in one segment", bytes.Repeat(textFrame(ping1), 40), strings.Repeat("reply 1, ", 40) + "close 1000"},
	}
	for bit := byte(0x10); bit <= 0x40; bit <<= 1 {
		all = append(all, rule{"5.2", fmt.Sprintf("reserved bit %#x", bit), first(0x81|bit, textFrame(ping1)), "close 1002"},
			rule{"5.2", fmt.Sprintf("reserved bit %#x of a ping", bit), first(0x89|bit, pingFrame("")), "close 1002"})
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		all = append(all, rule{"5.2", fmt.Sprintf("reserved op code %#x", op), first(0x80|op, textFrame("")), "close 1002"})
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		all = append(all, rule{"7.4", fmt.Sprintf("code %d", code), closeFrame(code, "bye"), fmt.Sprintf("close %d", code)})
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535} {
		all = append(all, rule{"7.4", fmt.Sprintf("code %d", code), closeFrame(code, ""), "close 1002"})
	}
	return all
}

// TestRFC6455 holds a node to the rules for frames, whole and a byte at a time; it ends
// the connection itself (7.1.1). Beside that a subscriber has every price.
func TestRFC6455(t *testing.T) {
	n := startNode(t, nil)
	n.publish("sim:A", bid(100))
	good := subscribed(t, n)
	price := int64(100)
	for _, r := range rules() {
		for _, step := range []int{len(r.send), 1} {
			if step == 1 && len(r.send) > 1<<10 {
				continue
			}
			p := dial(t, n.addr)
			p.next(codec.TypeHello)
			raw := frames(r.send, closeFrame(1000, ""))
			go func() {
				for ; len(raw) > 0; raw = raw[min(step, len(raw)):] {
					p.conn.Write(raw[:min(step, len(raw))])
				}
			}()
			if got := p.untilEnd(); got != r.want {
				t.Errorf("%s %s, %d bytes at a time: %q, want %q", r.section, r.name, step, got, r.want)
			}
			p.conn.Close()
		}
		price++
		undisturbed(t, n, good, price)
	}
}

// untilEnd is what the node sends until it ends the connection, its own pings left out.
func (p *peer) untilEnd() string {
	p.t.Helper()
	var got []string
	p.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	for {
		h, err := ws.ReadHeader(p.from)
		if err == io.EOF {
			return strings.Join(got, ", ")
		}
		payload := make([]byte, h.Length)
		if err == nil {
			_, err = io.ReadFull(p.from, payload)
		}
		if err != nil {
			return strings.Join(append(got, err.Error()), ", ")
		}
		switch h.OpCode {
		case ws.OpPing:
		case ws.OpPong:
			got = append(got, "pong "+string(payload))
		case ws.OpClose:
			code, _ := ws.ParseCloseFrameData(payload)
			got = append(got, fmt.Sprintf("close %d", code))
		default:
			if err := codec.ParseMessage(payload, &p.msg); err != nil {
				p.t.Fatal(err)
			}
			what := p.msg.Type.String()
			if r, ok := p.msg.Control.(*codec.Reply); ok {
				what = fmt.Sprintf("%s %d", what, r.ID)
			}
			got = append(got, what)
		}
	}
}
