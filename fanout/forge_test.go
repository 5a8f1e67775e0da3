package fanout

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// forger is a client of TLS 1.3 that seals its own records: whatever crypto/tls would not
// send. What comes is read as usual.
type forger struct {
	*peer
	*tls.Conn
	raw    net.Conn
	mute   bool // it answers no pings
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
	out    []byte // records to be sent
}

// Content types of TLS, and a message that asks for new keys both ways: RFC 8446, 4.6.3.
const (
	tlsHandshake byte = 22
	tlsData      byte = 23
)

var keyUpdate = []byte{24, 0, 0, 1, 1}

// forge shakes hands, and has the stream opened.
func forge(t *testing.T, addr string, config *tls.Config) *forger {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	var log bytes.Buffer
	config = config.Clone()
	config.ServerName, config.KeyLogWriter = "127.0.0.1", &log
	conn := tls.Client(raw, config)
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	raw.SetDeadline(time.Time{})
	if suite := conn.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skip(tls.CipherSuiteName(suite))
	}
	f := &forger{Conn: conn, raw: raw}
	f.peer = &peer{t: t, conn: f, from: conn}
	_, after, _ := strings.Cut(log.String(), "CLIENT_TRAFFIC_SECRET_0 ")
	if f.secret, err = hex.DecodeString(strings.Fields(after)[1]); err != nil {
		t.Fatal(err)
	}
	f.key()
	f.add(tlsData, []byte(upgradeHead), 0)
	f.flush()
	head(t, conn)
	f.next(codec.TypeHello)
	return f
}

// expand is HKDF-Expand-Label: RFC 8446, 7.1.
func (f *forger) expand(label string, size int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(info, byte(6+len(label))), "tls13 "+label...)
	p, err := hkdf.Expand(sha256.New, f.secret, string(append(info, 0)), size)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// key takes the keys of the secret.
func (f *forger) key() {
	block, err := aes.NewCipher(f.expand("key", 16))
	if err == nil {
		f.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.iv, f.seq = f.expand("iv", 12), 0
}

// add seals a record of a content type, with so many bytes of padding.
func (f *forger) add(kind byte, p []byte, padding int) {
	inner := append(append(bytes.Clone(p), kind), make([]byte, padding)...)
	at := []byte{tlsData, 3, 3}
	at = binary.BigEndian.AppendUint16(at, uint16(len(inner)+f.aead.Overhead()))
	nonce := bytes.Clone(f.iv)
	for i, b := range binary.BigEndian.AppendUint64(nil, f.seq) {
		nonce[4+i] ^= b
	}
	f.seq++
	f.out = f.aead.Seal(append(f.out, at...), nonce, inner, at)
}

// Write is the peer's: a pong has to be sealed with the others.
func (f *forger) Write(p []byte) (int, error) {
	if !f.mute {
		f.add(tlsData, p, 0)
		f.flush()
	}
	return len(p), nil
}

// update has the keys changed.
func (f *forger) update() {
	f.add(tlsHandshake, keyUpdate, 0)
	f.secret = f.expand("traffic upd", len(f.secret))
	f.key()
}

// flush sends what was added; a node that has had enough takes no more.
func (f *forger) flush() {
	f.raw.SetWriteDeadline(time.Now().Add(10 * time.Second))
	f.raw.Write(f.out)
	f.out = nil
}

// ended reads to the end of the connection.
func (f *forger) ended() error {
	f.raw.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := io.Copy(io.Discard, f.conn)
	return err
}

// Records of a byte each, frames across them, and keys that change between are as any
// others; whoever sends nothing but records that carry nothing is ended.
func TestForgedRecords(t *testing.T) {
	n, config := startSecure(t, func(cfg *Config) { cfg.MaxConns = 1000 })
	n.publish("sim:A", bid(1))
	good := subscribedSecure(t, n, config)
	f := forge(t, n.addr, config)
	for i, b := range textFrame(ping1) {
		if i%2 == 0 {
			f.update()
		}
		f.add(tlsData, []byte{b}, 0)
	}
	f.flush()
	f.next(codec.TypeReply)
	f.add(tlsData, textFrame(ping1), 16000)
	f.flush()
	f.next(codec.TypeReply)
	undisturbed(t, n, good, 2)
	for name, records := range map[string]func(f *forger){
		"key updates":    func(f *forger) { f.update() },
		"empty records":  func(f *forger) { f.add(tlsData, nil, 0) },
		"padding":        func(f *forger) { f.add(tlsData, nil, 16000) },
		"client hellos":  func(f *forger) { f.add(tlsHandshake, []byte{1, 0, 0, 0}, 0) },
		"no key updates": func(f *forger) { f.add(tlsHandshake, []byte{24, 0, 0, 2, 1, 1}, 0) },
		"alerts":         func(f *forger) { f.add(21, []byte{1, 90}, 0) },
		"no type":        func(f *forger) { f.add(0, nil, 100) },
		"another key":    func(f *forger) { f.secret = bytes.Repeat([]byte{1}, 32); f.key(); f.add(tlsData, textFrame(ping1), 0) },
		"too long":       func(f *forger) { f.out = append(f.out, tlsData, 3, 3, 0xff, 0xff) },
		"no TLS":         func(f *forger) { f.out = append(f.out, textFrame(ping1)...) },
	} {
		f := forge(t, n.addr, config)
		for range 200 {
			records(f)
		}
		f.flush()
		if errors.Is(f.ended(), os.ErrDeadlineExceeded) {
			t.Errorf("%s without end", name)
		}
	}
	undisturbed(t, n, good, 3)
	eventually(t, 5*time.Second, "two are left", func() bool { return n.opened() == 2 })
}

// subscribedSecure is subscribed over TLS.
func subscribedSecure(t *testing.T, n *testNode, config *tls.Config) *peer {
	t.Helper()
	p := dialSecure(t, n.addr, config)
	p.next(codec.TypeHello)
	p.send(`{"op":"subscribe","id":1,"symbols":["sim:A"]}`)
	p.next(codec.TypeData)
	return p
}

// A record, or a message of TLS, that is begun must end, as a message must; nothing else
// would ever have its memory given back.
func heldRecords(t *testing.T) {
	n, config := startSecure(t, nil)
	n.publish("sim:A", bid(1))
	good := subscribedSecure(t, n, config)
	begun := map[string]*forger{"a record": forge(t, n.addr, config), "a message of TLS": forge(t, n.addr, config)}
	honest := forge(t, n.addr, config)
	for _, f := range begun {
		f.add(tlsData, textFrame(`{"op":"subscribe","id":1,"symbols":["sim:A"]}`), 0) // or it would be idle
	}
	begun["a record"].out = append(begun["a record"].out, tlsData, 3, 3, 0x41, 0)
	begun["a message of TLS"].add(tlsHandshake, append([]byte{24, 0, 0xff, 0xf0}, make([]byte, 16000)...), 0)
	for _, f := range begun {
		f.flush()
		f.mute = true // it has no way to, now
	}
	honest.mute = true
	for range 12 { // each record ends, but one is always begun
		honest.add(tlsData, textFrame(ping1), 0)
		cut := len(honest.out) - 5
		rest := honest.out[cut:]
		honest.out = honest.out[:cut]
		honest.flush()
		time.Sleep(time.Second)
		honest.out = rest
	}
	undisturbed(t, n, good, 2)
	for name, f := range begun {
		if code := f.peer.closedWith(); code != codec.CloseSilent {
			t.Errorf("%s begun and not ended: closed with %d", name, code)
		}
	}
	honest.flush()
	for range 12 {
		honest.next(codec.TypeReply)
	}
}

// What TLS keeps of all connections is bounded.
func TestHeldRecordsAreBounded(t *testing.T) {
	n, config := startSecure(t, func(cfg *Config) { cfg.Loops, cfg.MaxConns = 1, 1000 })
	n.publish("sim:A", bid(1))
	good := subscribedSecure(t, n, config)
	before := heapInUse()
	for range 600 { // 64 KB each
		f := forge(t, n.addr, config)
		for i := range 4 {
			p := make([]byte, 16000)
			if i == 0 {
				copy(p, []byte{24, 0, 0xff, 0xf0})
			}
			f.add(tlsHandshake, p, 0)
		}
		f.flush()
	}
	eventually(t, 5*time.Second, "who adds to it is sent away", func() bool { return n.closeFrames("1013") > 0 })
	undisturbed(t, n, good, 2)
	if grown := heapInUse() - before; grown > 3*unfinishedMax {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	f := forge(t, n.addr, config) // there is room for who leaves nothing unfinished
	f.add(tlsData, textFrame(ping1), 0)
	f.flush()
	f.next(codec.TypeReply)
}
