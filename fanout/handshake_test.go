package fanout

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
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

// Heads that RFC 9110, 9112 and 6455 allow, and those that they do not.
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
		"query":                      {with(streamPath, streamPath+"?x=1"), 101},
		"absolute form":              {with(streamPath, "http://x"+streamPath), 101},
		"escaped path":               {with(streamPath, "/v1/%73tream"), 101},
		"bare line feeds":            {strings.ReplaceAll(upgradeHead, "\r\n", "\n"), 101},
		"mixed line ends":            {strings.ReplaceAll(upgradeHead[:len(upgradeHead)-2], "\r\n", "\n") + "\r\n", 101},
		"other case":                 {with("Upgrade: websocket", "upgrade:WebSocket"), 101},
		"other path":                 {with(streamPath, "/v1/streams"), 404},
		"no path":                    {with(streamPath, "%zz"), 404},
		"key is no base64":           {with("dGhl", "!!!!"), 400},
		"key of 17 bytes":            {with("jZQ==", "jZWU="), 400},
		"key too short":              {with("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), 400},
		"key that is longer":         {with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ=="), 400},
		"no key":                     {with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400},
		"no version of HTTP":         {with(" HTTP/1.1", ""), 400},
		"HTTP/1.0":                   {with("HTTP/1.1", "HTTP/1.0"), 505},
		"version 12":                 {with("Version: 13", "Version: 12"), 426},
		"a list":                     {with("Upgrade: websocket", "Upgrade: foo, websocket"), 426},
		"other method":               {with("GET", "POST"), 405},
		"other subprotocols":         {with("\r\n\r\n", "\r\nSec-WebSocket-Protocol: soup\r\n\r\n"), 400},
		"bare line feeds, plain":     {"GET /healthz HTTP/1.1\nHost: x\n\n", 200},
		"absolute form, plain":       {"GET http://x/v1/%73ymbols HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		"as long as may be":          {with("Host: x", "Host: "+strings.Repeat("x", handshakeBytes+1-len(upgradeHead))), 101},
		"a byte longer":              {with("Host: x", "Host: "+strings.Repeat("x", handshakeBytes+2-len(upgradeHead))), 431},
		"as long, and has not ended": {"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", handshakeBytes), 431},
	} {
		res, body := answered(t, n.addr, c.head)
		if res.StatusCode != c.want || c.want != 101 && (strings.TrimSpace(body) == "" || !res.Close) {
			t.Errorf("%s: %d %v %q, want %d", name, res.StatusCode, res.Header, body, c.want)
		}
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
	u := newUpgrade()
	head := []byte(strings.Replace(upgradeHead, "\r\n\r\n", "\r\nOrigin: http://localhost:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nSec-WebSocket-Protocol: tickwire.v1.msgpack\r\n\r\n", 1))
	b.ReportAllocs()
	for b.Loop() {
		if err := u.run(head); err != nil {
			b.Fatal(err)
		}
	}
}
