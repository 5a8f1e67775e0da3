package fanout

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// answered sends a request head and returns what answers it.
func answered(t *testing.T, addr, head string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(3 * time.Second))
	io.WriteString(conn, head)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.60q: %v", head, err)
	}
	body := ""
	if res.StatusCode != http.StatusSwitchingProtocols {
		all, err := io.ReadAll(res.Body)
		if err != nil {
			t.Errorf("%.60q: %v", head, err)
		}
		body = string(all)
	}
	return res, body
}

// Heads in all the forms that RFC 9110 and 9112 allow, and what is not the stream's; what RFC
// 6455 refuses is in TestRFC6455Handshake.
func TestUpgradeHeads(t *testing.T) {
	n := startNode(t, nil)
	with := func(old, new string) string {
		head := strings.Replace(upgradeHead, old, new, 1)
		if head == upgradeHead {
			t.Fatalf("no %q in the head", old)
		}
		return head
	}
	for name, c := range map[string]struct {
		head string
		want int
	}{
		"plain":                      {upgradeHead, 101},
		"query":                      {with(codec.StreamPath, codec.StreamPath+"?x=1"), 101},
		"absolute form":              {with(codec.StreamPath, "http://x"+codec.StreamPath), 101},
		"escaped path":               {with(codec.StreamPath, "/v1/%73tream"), 101},
		"bare line feeds":            {strings.ReplaceAll(upgradeHead, "\r\n", "\n"), 101},
		"mixed line ends":            {strings.ReplaceAll(upgradeHead[:len(upgradeHead)-2], "\r\n", "\n") + "\r\n", 101},
		"other case":                 {with("Upgrade: websocket", "upgrade:WebSocket"), 101},
		"other path":                 {with(codec.StreamPath, "/v1/streams"), 404},
		"no path":                    {with(codec.StreamPath, "%zz"), 404},
		"a list":                     {with("Upgrade: websocket", "Upgrade: foo, websocket"), 426},
		"other subprotocols":         {with("\r\n\r\n", "\r\nSec-WebSocket-Protocol: soup\r\n\r\n"), 400},
		"bare line feeds, plain":     {"GET /healthz HTTP/1.1\nHost: x\n\n", 200},
		"absolute form, plain":       {"GET http://x/v1/%73ymbols HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		"TLS":                        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400},
		"as long as may be":          {with("Host: x", "Host: "+strings.Repeat("x", headBytes+1-len(upgradeHead))), 101},
		"a byte longer":              {with("Host: x", "Host: "+strings.Repeat("x", headBytes+2-len(upgradeHead))), 431},
		"as long, and has not ended": {"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", headBytes), 431},
	} {
		res, body := answered(t, n.addr, c.head)
		if res.StatusCode != c.want || c.want != 101 && (strings.TrimSpace(body) == "" || !res.Close) {
			t.Errorf("%s: %d %v %q, want %d", name, res.StatusCode, res.Header, body, c.want)
		}
	}
}

// headBytes is the default.
const headBytes = 8 << 10

const (
	keyLine     = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	versionLine = "Sec-WebSocket-Version: 13\r\n"
)

// handshake is upgradeHead with something else in it, and the answer.
type handshake struct {
	section, name string
	old, new      string
	want          int
}

func (c *handshake) head() []byte {
	return []byte(strings.Replace(upgradeHead, c.old, c.new, 1))
}

var handshakes = []handshake{
	{"4.2.1", "as it should be", "", "", 101},
	{"4.2.1", "Connection is a list", "Connection: Upgrade", "Connection: keep-alive, Upgrade", 101},
	{"4.2.1", "Connection without upgrade", "Connection: Upgrade", "Connection: keep-alive", 400},
	{"4.2.1", "no Connection", "Connection: Upgrade\r\n", "", 400},
	{"4.2.1", "another method", "GET", "POST", 405},
	{"4.2.1", "a method in lower case", "GET", "get", 405},
	{"4.2.1", "HTTP/1.0", "HTTP/1.1", "HTTP/1.0", 505},
	{"4.2.1", "HTTP/2.0", "HTTP/1.1", "HTTP/2.0", 505},
	{"4.2.1", "no Host", "Host: x\r\n", "", 400},
	{"4.2.1", "no key", keyLine, "", 400},
	{"4.2.1", "a key that is no base64", "dGhl", "!!!!", 400},
	{"4.2.1", "a key of 15 bytes", "jZQ==", "jZQ", 400},
	{"4.2.1", "a key of 17 bytes", "jZQ==", "jZWU=", 400},
	{"4.2.1", "a key of 3 bytes", "dGhlIHNhbXBsZSBub25jZQ==", "dGhl", 400},
	{"4.2.1", "a key and more", "jZQ==", "jZQ==dGhlIHNhbXBsZSBub25jZQ==", 400},
	{"4.2.1", "no version", versionLine, "", 400},
	{"4.4", "version 12", ": 13", ": 12", 426},
	{"4.4", "version 14", ": 13", ": 14", 426},
	{"11.3.1", "two keys", keyLine, keyLine + keyLine, 400},
	{"11.3.1", "two keys, one of them none", keyLine, "Sec-WebSocket-Key: x\r\n" + keyLine, 400},
	{"11.3.5", "two versions", versionLine, versionLine + versionLine, 400},
	{"9112, 3", "no version of HTTP", " HTTP/1.1", "", 400},
	{"9112, 3", "two spaces", "GET ", "GET  ", 400},
	{"9112, 3", "a tab in the target", codec.StreamPath, codec.StreamPath + "?\t", 400},
	{"9112, 2.3", "a version that is no digit", "HTTP/1.1", "HTTP/1.>", 400},
	{"9112, 2.3", "a version of two digits", "HTTP/1.1", "HTTP/1.01", 400},
	{"9112, 3.2", "two Hosts", "Host: x\r\n", "Host: x\r\nHost: x\r\n", 400},
	{"9112, 3.2", "a Host that is none", "Host: x", "Host: x/y", 400},
	{"9112, 3.2", "a Host that is a list", "Host: x", "Host: x y", 400},
	{"9112, 3.2", "an empty Host", "Host: x", "Host: ", 101},
	{"9112, 3.2", "an address of 16 bytes", "Host: x", "Host: [::1]:8080", 101},
	{"9112, 6", "no body", keyLine, keyLine + "Content-Length: 0\r\n", 101},
	{"9112, 6", "a body", keyLine, keyLine + "Content-Length: 5\r\n", 400},
	{"9112, 6", "a length that is none", keyLine, keyLine + "Content-Length: +0\r\n", 400},
	{"9112, 6", "two lengths", keyLine, keyLine + "Content-Length: 0\r\nContent-Length: 0\r\n", 400},
	{"9112, 6", "chunks", keyLine, keyLine + "Transfer-Encoding: chunked\r\n", 400},
	{"9112, 6", "no coding", keyLine, keyLine + "Transfer-Encoding: identity\r\n", 400},
	{"9112, 5.1", "a space before the colon", "Host:", "Host :", 400},
	{"9112, 5.1", "a line without a colon", keyLine, keyLine + "what\r\n", 400},
	{"9112, 5.1", "a field without a name", keyLine, keyLine + ": what\r\n", 400},
	{"9112, 5.1", "a name that is no token", keyLine, keyLine + "a/b: what\r\n", 400},
	{"9112, 5.2", "a folded line", keyLine, keyLine + "X: a\r\n b\r\n", 400},
	{"9112, 5.2", "a folded line that looks like a field", keyLine, "X: a\r\n " + keyLine, 400},
	{"9112, 2.2", "white space before the first field", "Host", "\tHost", 400},
	{"9112, 2.2", "a bare carriage return", keyLine, keyLine + "X: a\rY: b\r\n", 400},
	{"9112, 2.2", "a carriage return too many", "Host: x\r\n", "Host: x\r\r\n", 400},
	{"9110, 5.5", "NUL in a value", keyLine, keyLine + "X: a\x00b\r\n", 400},
	{"9110, 5.5", "NUL in a name", keyLine, keyLine + "X\x00: a\r\n", 400},
	{"9110, 5.5", "NUL in the target", codec.StreamPath, codec.StreamPath + "?\x00", 400},
	{"9110, 5.5", "a tab and Latin-1 in a value", keyLine, keyLine + "X: a\tb\xe9\r\n", 101},
}

// TestRFC6455Handshake holds a node to the rules for the opening handshake, and to those of
// HTTP that keep a proxy and a node from reading a head each in its own way.
func TestRFC6455Handshake(t *testing.T) {
	n := startNode(t, nil)
	n.publish("sim:A", bid(100))
	good := subscribed(t, n)
	for i, c := range handshakes {
		res, body := answered(t, n.addr, string(c.head()))
		if res.StatusCode != c.want {
			t.Errorf("%s %s: %d %q, want %d", c.section, c.name, res.StatusCode, body, c.want)
		}
		if h := res.Header; c.want != 101 && (body == "" || !res.Close) ||
			c.want == 101 && (h.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || h.Get("Upgrade") != "websocket") ||
			c.want == http.StatusUpgradeRequired && (h.Get("Sec-WebSocket-Version") != "13" || h.Get("Upgrade") != "websocket") ||
			c.want == http.StatusMethodNotAllowed && h.Get("Allow") != "GET" {
			t.Errorf("%s %s: %v %q", c.section, c.name, h, body)
		}
		undisturbed(t, n, good, int64(101+i))
	}
}

// subscribed is a client that is sent sim:A.
func subscribed(t *testing.T, n *testNode) *peer {
	p := dial(t, n.addr)
	p.next(codec.TypeHello)
	p.send(`{"op":"subscribe","id":1,"symbols":["sim:A"]}`)
	p.next(codec.TypeData)
	return p
}

// undisturbed has a subscriber see the next price.
func undisturbed(t *testing.T, n *testNode, p *peer, price int64) {
	t.Helper()
	n.publish("sim:A", bid(price))
	if u := p.next(codec.TypeData).Updates[0]; u.Quote[codec.Bid] != price {
		t.Fatalf("the subscriber has %+v, not %d", u, price)
	}
}

// The blank line may come in any piece.
func TestHeadInPieces(t *testing.T) {
	for _, head := range []string{upgradeHead, strings.ReplaceAll(upgradeHead, "\r\n", "\n"), "\r\n", "\n\n"} {
		all := []byte(head + "\n\r\n\n")
		for i := range len(head) {
			if end := headEnd(all[:i]); end != 0 && end != len(head) {
				t.Fatalf("%q ends at %d", all[:i], end)
			}
		}
		if end := headEnd(all); len(head) > 2 && end != len(head) {
			t.Errorf("%q ends at %d, not %d", head, end, len(head))
		}
	}
}

func BenchmarkUpgrade(b *testing.B) {
	u := newUpgrade(headBytes)
	head := []byte(strings.Replace(upgradeHead, "\r\n\r\n", "\r\nOrigin: http://localhost:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nSec-WebSocket-Protocol: tickwire.v1.msgpack\r\n\r\n", 1))
	b.ReportAllocs()
	for b.Loop() {
		if err := u.run(head); err != nil {
			b.Fatal(err)
		}
	}
}
