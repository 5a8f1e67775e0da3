package fanout

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
)

// Errors of a request head that asks for an upgrade.
var (
	errStart = errors.New("the request line is not METHOD TARGET HTTP/1.1")
	errValue = errors.New("a control character in the request head")
	errField = errors.New("a line of the request head is not NAME: VALUE")
	errHost  = errors.New("not a host, or one and a port: Host")
	errBody  = errors.New("an upgrade has no body")
	errKey   = errors.New("Sec-WebSocket-Key is not base64 of 16 bytes")
)

// headEnd is the length of a request head, its blank line included; 0 when it is not
// whole. A line may end in a line feed alone: RFC 9112, 2.2.
func headEnd(p []byte) int {
	for at := 0; ; {
		n := bytes.IndexByte(p[at:], '\n')
		if n < 0 {
			return 0
		}
		at += n + 1
		if rest := bytes.TrimPrefix(p[at:], []byte("\r")); len(rest) > 0 && rest[0] == '\n' {
			return len(p) - len(rest) + 1
		}
	}
}

// header is the value of a request head's field, nil when it has none.
func header(head []byte, name string) []byte {
	_, fields, _ := bytes.Cut(head, []byte("\n"))
	for line := range bytes.Lines(fields) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(key, []byte(name)) {
			return bytes.TrimSpace(value)
		}
	}
	return nil
}

// strictHead says what is wrong with a head that the library would read in its own way:
// a proxy before the node may read it in another, and take what follows for something
// else. RFC 9112, 2.2, 3, 5 and 6; RFC 6455, 4.2.1 and 11.3.
func strictHead(head []byte) error {
	start, fields, _ := bytes.Cut(head, []byte("\n"))
	if !isStart(bytes.TrimSuffix(start, []byte("\r"))) {
		return errStart
	}
	var seen [len(strictFields)]bool
	for line := range bytes.Lines(fields) {
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		if len(line) == 0 {
			return nil // the blank line
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !only(name, inToken) {
			return errField
		}
		if !only(value, inValue) {
			return errValue
		}
		for i, f := range strictFields {
			if !bytes.EqualFold(name, []byte(f.name)) {
				continue
			}
			if seen[i] {
				return fmt.Errorf("%s is given twice", f.name)
			}
			seen[i] = true
			if f.fine != nil && !f.fine(bytes.Trim(value, " \t")) {
				return f.err
			}
		}
	}
	return nil
}

// strictFields are those that have one value, not a list that may come in lines.
var strictFields = [...]struct {
	name string
	fine func(value []byte) bool
	err  error
}{
	{"Host", func(v []byte) bool { return only(v, inHost) }, errHost},
	{"Content-Length", func(v []byte) bool { return string(v) == "0" }, errBody},
	{"Transfer-Encoding", func([]byte) bool { return false }, errBody},
	{"Sec-WebSocket-Key", isKey, errKey}, // the library looks at its length alone
	{"Sec-WebSocket-Version", nil, nil},
	{"Authorization", nil, nil},
	{"Origin", nil, nil},
}

func isKey(value []byte) bool {
	var nonce [18]byte // room for the decoder; a key holds 16
	n, err := base64.StdEncoding.Decode(nonce[:], value[:min(len(value), 24)])
	return err == nil && n == 16
}

// isStart reports whether a request line has its three parts, one space between them.
func isStart(line []byte) bool {
	method, after, _ := bytes.Cut(line, []byte(" "))
	target, version, _ := bytes.Cut(after, []byte(" "))
	major, minor, _ := bytes.Cut(bytes.TrimPrefix(version, []byte("HTTP/")), []byte("."))
	return only(method, inToken) && only(target, inTarget) && len(version) == len("HTTP/1.1") && isDigit(major) && isDigit(minor)
}

func isDigit(p []byte) bool { return len(p) == 1 && '0' <= p[0] && p[0] <= '9' }

// Sets of bytes: a token (RFC 9110, 5.6.2), a request target (nothing that is not visible:
// the page may have what RFC 3986 escapes), a host and its port (RFC 3986, 3.2.2), a
// field's value (RFC 9110, 5.5).
const (
	inToken uint8 = 1 << iota
	inTarget
	inHost
	inValue
)

var sets = func() (sets [256]uint8) {
	for b := range sets {
		if b >= ' ' && b != 0x7f || b == '\t' {
			sets[b] |= inValue
		}
		if b <= ' ' || b == 0x7f {
			continue
		}
		sets[b] |= inTarget
		if b < 0x80 && !bytes.ContainsRune([]byte(`"(),/:;<=>?@[\]{}`), rune(b)) {
			sets[b] |= inToken
		}
		if b < 0x80 && !bytes.ContainsRune([]byte("\"#/<>?@\\^`{|}"), rune(b)) {
			sets[b] |= inHost
		}
	}
	return sets
}()

// only reports whether p has bytes of a set and no others; at least one, but of a value and
// a host, which may be empty.
func only(p []byte, set uint8) bool {
	for _, b := range p {
		if sets[b]&set == 0 {
			return false
		}
	}
	return len(p) > 0 || set&(inHost|inValue) != 0
}
