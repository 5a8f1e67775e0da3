package fanout

import (
	"bytes"
	"compress/flate"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tickwire/tickwire/codec"
)

// What a stranger may try with nothing but the port. Each attack is answered as the protocol
// has it, and a subscriber beside it has every price. More of them: heads and frames that
// RFC 6455 forbids in rfc6455_test.go and handshake_test.go, records of TLS in forge_test.go,
// tokens in auth_test.go and attack_token_test.go, floods in hostile_test.go and
// guard_test.go, handshakes that hang in tls_test.go.

// target is a node under attack, over TCP or TLS.
type target struct {
	*testNode
	config *tls.Config // nil: plain
	good   *peer
	price  int64
}

// Some attacks take their time, which they do together.
func TestLastingAttacks(t *testing.T) {
	atOnce(t, map[string]func(*testing.T){
		"slow handshakes": func(t *testing.T) { atOnce(t, bothTargets(slowHandshakes)) },
		"slow frames":     func(t *testing.T) { atOnce(t, bothTargets(slowFrames)) },
		"held records":    heldRecords,
		"made-up kids":    madeUpKids,
	})
}

func atOnce(t *testing.T, tests map[string]func(*testing.T)) {
	var all sync.WaitGroup
	for name, test := range tests {
		all.Go(func() { t.Run(name, test) })
	}
	all.Wait()
}

// inTurn is atOnce, but each by itself.
func inTurn(t *testing.T, tests map[string]func(*testing.T)) {
	for name, test := range tests {
		t.Run(name, test)
	}
}

// bothTargets is an attack on a node over TCP, and on one over TLS.
func bothTargets(attack func(t *testing.T, n *target)) map[string]func(*testing.T) {
	both := map[string]func(*testing.T){}
	for _, name := range []string{"ws", "wss"} {
		both[name] = func(t *testing.T) {
			many := func(cfg *Config) { cfg.MaxConns = 3000 }
			n := &target{price: 1}
			if name == "wss" {
				n.testNode, n.config = startSecure(t, many)
				n.config.ServerName = "127.0.0.1"
			} else {
				n.testNode = startNode(t, many)
			}
			n.publish("sim:A", bid(1))
			n.good = n.open(t)
			n.good.send(`{"op":"subscribe","id":1,"symbols":["sim:A"]}`)
			n.good.next(codec.TypeData)
			attack(t, n)
			n.undisturbed(t)
			eventually(t, 10*time.Second, "one is left", func() bool { return n.opened() == 1 })
		}
	}
	return both
}

// undisturbed has the subscriber see the next price.
func (n *target) undisturbed(t *testing.T) {
	t.Helper()
	n.price++
	undisturbed(t, n.testNode, n.good, n.price)
}

// open is a client behind its hello.
func (n *target) open(t *testing.T) *peer {
	t.Helper()
	var p *peer
	if n.config != nil {
		p = dialSecure(t, n.addr, n.config)
	} else {
		p = dial(t, n.addr)
	}
	p.next(codec.TypeHello)
	return p
}

// connect is a connection that has said nothing yet of HTTP.
func (n *target) connect(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", n.addr)
	if err == nil && n.config != nil {
		conn = tls.Client(conn, n.config)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// attacks are what is sent behind the hello, and how that is answered; the connection is
// ended by the node, or by the end that the attack has.
func attacks() map[string]struct {
	send []byte
	want string
} {
	var bomb bytes.Buffer
	w, _ := flate.NewWriter(&bomb, flate.BestCompression) // fails for other levels
	w.Write(make([]byte, 32<<20))
	w.Flush()
	nested := func(open, end string) string {
		return `{"op":"ping","id":1,"x":` + strings.Repeat(open, 1000) + "1" + strings.Repeat(end, 1000) + `}`
	}
	bye := closeFrame(1000, "")
	return map[string]struct {
		send []byte
		want string
	}{
		"subscribe flood":           {bytes.Repeat(textFrame(`{"op":"subscribe","symbols":["*"]}`), 2*floodMax), "close 1008"},
		"close flood":               {bytes.Repeat(bye, 10_000), "close 1000"},
		"a close inside a close":    {frames(masked(ws.OpClose, false, nil), bye), "close 1002"},
		"a compression bomb":        {frames(first(0xc2, masked(ws.OpBinary, true, bomb.Bytes())), bye), "close 1002"},
		"nested objects":            {frames(textFrame(nested(`{"x":`, "}")), bye), "error, close 1000"},
		"nested lists":              {frames(textFrame(nested("[", "]")), bye), "error, close 1000"},
		"60,000 lists, no end":      {frames(textFrame(`{"op":"ping","x":`+strings.Repeat("[", 60_000)), bye), "error, close 1000"},
		"9 lists of msgpack":        {frames(masked(ws.OpBinary, true, append(append([]byte("\x82\xa2op\xa4ping\xa1x"), bytes.Repeat([]byte{0x91}, 9)...), 1)), bye), "error, close 1000"},
		"60,000 lists of msgpack":   {frames(masked(ws.OpBinary, true, bytes.Repeat([]byte{0x91}, 60_000)), bye), "error, close 1000"},
		"60,000 maps of msgpack":    {frames(masked(ws.OpBinary, true, append([]byte{0x81, 0xa1, 'x'}, bytes.Repeat([]byte{0x81, 0xa1, 'x'}, 20_000)...)), bye), "error, close 1000"},
		"a list of 2^32 elements":   {frames(masked(ws.OpBinary, true, []byte{0x82, 0xa2, 'o', 'p', 0xa4, 'p', 'i', 'n', 'g', 0xa1, 'x', 0xdd, 0xff, 0xff, 0xff, 0xff}), bye), "error, close 1000"},
		"a string of 2^32 bytes":    {frames(masked(ws.OpBinary, true, []byte{0x81, 0xa2, 'o', 'p', 0xdb, 0xff, 0xff, 0xff, 0xff}), bye), "error, close 1000"},
		"a map of 2^32 keys":        {frames(masked(ws.OpBinary, true, []byte{0xdf, 0xff, 0xff, 0xff, 0xff, 0xa2, 'o', 'p'}), bye), "error, close 1000"},
		"a number of 60,000 digits": {frames(textFrame(`{"op":"ping","id":`+strings.Repeat("9", 60_000)+`}`), bye), "error, close 1000"},
		"HTTP behind the upgrade":   {frames([]byte(upgradeHead), bye), "close 1002"},
	}
}

func TestAttacks(t *testing.T) {
	inTurn(t, bothTargets(func(t *testing.T, n *target) {
		for name, a := range attacks() {
			p := n.open(t)
			go p.conn.Write(a.send)
			got := p.untilEnd()
			for _, flood := range []string{"reply, ", "reply 0, ", "data, ", "error, "} {
				if strings.HasSuffix(name, "flood") { // what it was answered before is not the point
					got = strings.ReplaceAll(got, flood, "")
				}
			}
			if got != a.want {
				t.Errorf("%s: %.300q, want %q", name, got, a.want)
			}
			p.conn.Close()
			n.undisturbed(t)
		}
	}))
}

// Random bytes are no frames, nor heads, nor TLS; whatever they look like, the end of the
// stream behind them is the end of the connection.
func TestRandomBytes(t *testing.T) {
	inTurn(t, bothTargets(func(t *testing.T, n *target) {
		r := rand.NewChaCha8([32]byte{7})
		for i := range 150 {
			junk := make([]byte, 1+r.Uint64()%5000)
			r.Read(junk)
			var conn net.Conn
			switch i % 3 {
			case 0:
				conn = n.open(t).conn
			case 1:
				conn = n.connect(t)
			case 2:
				if conn, _ = net.Dial("tcp", n.addr); conn == nil {
					t.Fatal("no connection")
				}
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			conn.Write(junk)
			conn.(interface{ CloseWrite() error }).CloseWrite()
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes of junk: %v", len(junk), err)
			}
			conn.Close()
		}
	}))
}

// A head that is too long is answered, over TLS too, and an extension is offered in vain.
func TestHeadsUnderAttack(t *testing.T) {
	inTurn(t, bothTargets(func(t *testing.T, n *target) {
		for what, c := range map[string]struct{ more, want string }{
			"a giant field":              {"X: " + strings.Repeat("x", 1<<20), "431"},
			"100,000 fields":             {strings.Repeat("X: y\r\n", 100_000), "431"},
			"no end":                     {strings.Repeat("x", headBytes), "431"},
			"a body behind":              {"Content-Length: 100\r\n", "400"},
			"compression":                {"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", "101"},
			"an extension of a megabyte": {"Sec-WebSocket-Extensions: " + strings.Repeat("a;", 1<<19), "431"},
		} {
			conn := n.connect(t)
			go io.WriteString(conn, strings.TrimSuffix(upgradeHead, "\r\n")+c.more+"\r\n\r\n")
			text := make([]byte, 1000)
			k, err := io.ReadAtLeast(conn, text, len("HTTP/1.1 xxx "))
			if got := string(text[:k]); !strings.HasPrefix(got, "HTTP/1.1 "+c.want) || strings.Contains(got, "Extensions") {
				t.Errorf("%s: %q, %v", what, got, err)
			}
			conn.Close()
			n.undisturbed(t)
		}
	}))
}

// A thousand heads, or hellos, of a byte now and then: none of them takes longer than it may,
// and others come in beside them.
func slowHandshakes(t *testing.T, n *target) {
	begun := []byte(upgradeHead)
	if n.config != nil {
		begun = append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 100)...)
	}
	var slow []net.Conn
	for range 1000 {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		slow = append(slow, conn)
	}
	for i := range 25 {
		for _, conn := range slow {
			conn.Write(begun[i : i+1]) // fails when the node has had enough
		}
		if i%5 == 0 {
			n.open(t).conn.Close()
			n.undisturbed(t)
		}
		time.Sleep(500 * time.Millisecond)
	}
	eventually(t, 10*time.Second, "all are gone", func() bool { return n.opened() == 1 })
	why := "head_too_slow"
	if n.config != nil {
		why = "tls_too_slow"
	}
	if got := testutil.ToFloat64(n.events.handshakes.WithLabelValues(why)); got < 1000 {
		t.Errorf("%v are %s", got, why)
	}
}

// A message of a byte a second is not waited for, whether its sender subscribes or not.
func slowFrames(t *testing.T, n *target) {
	all := []*peer{n.open(t), n.open(t), n.open(t)}
	all[1].send(`{"op":"subscribe","symbols":["sim:A"]}`)
	text := textFrame(`{"op":"ping","id":1}`)
	all[2].conn.Write(beginFrame("{")) // its fragments are whole, but not the message
	for i := range 14 {
		all[0].conn.Write(text[i : i+1])
		all[1].conn.Write(text[i : i+1])
		all[2].conn.Write(moreFrame(" "))
		time.Sleep(time.Second)
	}
	for i, p := range all {
		if code := p.closedWith(); code != codec.CloseSilent {
			t.Errorf("%d: closed with %d", i, code)
		}
		p.conn.Close()
	}
}

// What TLS no longer has, or never should have had, a node has not: versions before 1.2,
// other keys in the midst of 1.2, and requests before the handshake, which can be played
// again.
func TestOldTLS(t *testing.T) {
	n, config := startSecure(t, nil)
	n.publish("sim:A", bid(1))
	good := subscribedSecure(t, n, config)
	for version := uint16(tls.VersionTLS10); version <= tls.VersionTLS11; version++ {
		old := config.Clone()
		old.MinVersion, old.MaxVersion = tls.VersionTLS10, version
		if conn, err := tls.Dial("tcp", n.addr, old); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("TLS %x: %v, %v", version, conn, err)
		}
	}
	openssl := needTool(t, "openssl")
	dir := t.TempDir()
	said := filepath.Join(dir, "said")
	log, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	client := exec.Command(openssl, "s_client", "-connect", n.addr, "-CAfile", n.cfg.TLSCert, "-verify_return_error", "-tls1_2")
	client.Stdout, client.Stderr = log, log
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Process.Kill() })
	saw := func(what string) func() bool {
		return func() bool { text, _ := os.ReadFile(said); return bytes.Contains(text, []byte(what)) }
	}
	eventually(t, 10*time.Second, "hands are shaken", saw("Verify return code: 0 (ok)\n"))
	io.WriteString(in, "R\n")
	eventually(t, 10*time.Second, "it asks for other keys", saw("RENEGOTIATING"))
	if err := client.Wait(); err == nil {
		t.Error("keys are renegotiated")
	}
	undisturbed(t, n, good, 2)
	session := filepath.Join(dir, "session")
	client = exec.Command(openssl, "s_client", "-connect", n.addr, "-tls1_3", "-ign_eof", "-sess_out", session)
	client.Stdin = strings.NewReader("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	client.Run()
	text, err := exec.Command(openssl, "sess_id", "-in", session, "-noout", "-text").CombinedOutput()
	if err != nil || !bytes.Contains(text, []byte("Max Early Data: 0\n")) {
		t.Errorf("%v: %s", err, text)
	}
	eventually(t, 5*time.Second, "one is left", func() bool { return n.opened() == 1 })
}

// closeFrames is how many of a code the node has sent.
func (n *testNode) closeFrames(code string) float64 {
	return testutil.ToFloat64(n.events.closeFrames.WithLabelValues(code))
}
