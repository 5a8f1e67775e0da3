package epoll

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// crypto/tls keeps the buffers that it reads into for good, as large as the longest record
// that ever came: 2 KB after a handshake, 32 KB for a peer who sends one of 16. A
// connection has two, rawInput and hand, and no way to give them back; so where they are
// is looked up, once. In a release of Go that has others nothing is given back, and a test
// says so.
var (
	rawInput = bufferOf("rawInput")
	hand     = bufferOf("hand")
)

// trimAbove is what a buffer may keep: with less, a pong would cost a new one.
const trimAbove = 1 << 10

// bufferOf is the offset of a buffer in a tls.Conn; 0 when there is none.
func bufferOf(name string) uintptr {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
		return 0
	}
	return f.Offset
}

// trim gives back the buffers of a connection that hold nothing: after ErrAgain, when
// nobody has a view of them either. The others have what has not come whole: held is their
// size, which is not what came but what that says will.
func trim(c *tls.Conn) (held int) {
	for _, at := range [...]uintptr{rawInput, hand} {
		if at == 0 {
			continue
		}
		switch b := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), at)); {
		case b.Len() > 0:
			held += b.Cap()
		case b.Cap() > trimAbove:
			*b = bytes.Buffer{}
		}
	}
	return held
}
