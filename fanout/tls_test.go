package fanout

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tickwire/tickwire/codec"
)

// needTool finds a program, without which a test is skipped, but in CI.
func needTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(name, "is not here")
	}
	return path
}

// startSecure is startNode over TLS, and what its clients take.
func startSecure(t *testing.T, change func(*Config)) (*testNode, *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	roots := writeCert(t, certFile, keyFile, 1)
	n := startNode(t, func(cfg *Config) {
		cfg.TLSCert, cfg.TLSKey = certFile, keyFile
		if change != nil {
			change(cfg)
		}
	})
	return n, &tls.Config{RootCAs: roots}
}

// underWay is how many handshakes are under way.
func (n *testNode) underWay() int { return int(n.shakes.Load()) }

// sum is what the loops count, together.
func (n *testNode) sum(of func(*loop) int) (sum int) {
	each := make(chan int)
	for _, l := range n.loops {
		l.mailbox.send(func(l *loop) { each <- of(l) })
	}
	for range n.loops {
		sum += <-each
	}
	return sum
}

// dialSecure is dial over TLS.
func dialSecure(t *testing.T, addr string, config *tls.Config, protocols ...string) *peer {
	t.Helper()
	return dialBy(t, ws.Dialer{Protocols: protocols, TLSConfig: config}, "wss://"+addr+codec.StreamPath)
}

// Over TLS, 1.2 and 1.3, in full and resumed, everything is as it is without: the stream,
// plain HTTP, closing.
func TestSecure(t *testing.T) {
	n, config := startSecure(t, nil)
	n.publish("sim:A", bid(100))
	config.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config.MaxVersion = version
		for round := range 2 {
			p := dialSecure(t, n.addr, config)
			state := p.conn.(*tls.Conn).ConnectionState()
			if state.Version != version || state.DidResume != (round > 0) {
				t.Errorf("TLS %x, resumed %v in round %d", state.Version, state.DidResume, round)
			}
			p.next(codec.TypeHello)
			p.send(`{"op":"subscribe","id":1,"symbols":["sim:A"]}`)
			for last := n.seqs["sim:A"] + 1; p.next(codec.TypeData).Updates[0].Seq < last; {
				if n.seqs["sim:A"] < last {
					n.publish("sim:A", bid(100+last))
				}
			}
			p.conn.Write(masked(ws.OpClose, true, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
			if code := p.closedWith(); code != ws.StatusNormalClosure {
				t.Errorf("closed with %d", code)
			}
			if _, err := p.conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("behind the close frame comes %v, not the end of TLS", err)
			}
		}
		client := http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone()}}
		res, err := client.Get("https://" + n.addr + "/v1/snapshot?symbols=sim:A")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !bytes.Contains(body, []byte("sim:A")) {
			t.Errorf("%v %s", err, body)
		}
	}
	res, err := http.Get("http://" + n.addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusBadRequest || !bytes.Contains(text, []byte("wss://")) {
		t.Errorf("plain HTTP on a TLS port is answered %d %q", res.StatusCode, text)
	}
	eventually(t, 5*time.Second, "nobody is left", func() bool { return n.opened() == 0 })
}

// A certificate may be of an RSA key, too; what a client wants to speak other than HTTP/1.1
// is not spoken.
func TestSecureRSA(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	roots := writeCertOf(t, key, certFile, keyFile, 1)
	n := startNode(t, func(cfg *Config) { cfg.TLSCert, cfg.TLSKey = certFile, keyFile })
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{RootCAs: roots, MaxVersion: version, NextProtos: []string{"http/1.1"}}
		p := dialSecure(t, n.addr, config)
		if got := p.conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != "http/1.1" {
			t.Errorf("ALPN chose %q", got)
		}
		p.next(codec.TypeHello)
		config.NextProtos = []string{"h2"}
		if conn, err := tls.Dial("tcp", n.addr, config); err == nil {
			conn.Close()
			t.Error("h2 is spoken")
		}
	}
	if conn, err := tls.Dial("tcp", n.addr, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// A connection has no goroutine once it has shaken hands.
func TestSecureGoroutines(t *testing.T) {
	n, config := startSecure(t, nil)
	before := runtime.NumGoroutine()
	for range 50 {
		dialSecure(t, n.addr, config).next(codec.TypeHello)
	}
	eventually(t, 5*time.Second, "the handshakes' goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+20 })
}

// What comes in pieces of any size, and what the socket takes in pieces, arrives.
func TestSecurePieces(t *testing.T) {
	n, config := startSecure(t, nil)
	const symbols = 3000
	n.publishMany(symbols)
	raw, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	raw.(*net.TCPConn).SetReadBuffer(2048)
	config = config.Clone()
	config.ServerName = "127.0.0.1"
	conn := tls.Client(&trickle{raw}, config)
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, upgradeHead); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn, from: conn}
	head := make([]byte, 0, 200)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		one := make([]byte, 1)
		if _, err := io.ReadFull(conn, one); err != nil {
			t.Fatal(err)
		}
		head = append(head, one...)
	}
	p.next(codec.TypeHello)
	p.send(`{"op":"subscribe","id":1,"symbols":["*"]}`)
	eventually(t, 10*time.Second, "it stands still, and is blocked", func() bool { return n.sum(func(l *loop) int { return l.blocked }) == 1 })
	if got := len(p.next(codec.TypeReply).Control.(*codec.Reply).Results); got != symbols+1 {
		t.Errorf("%d results", got)
	}
	for got := 0; got < symbols; {
		got += len(p.next(codec.TypeData).Updates)
	}
}

// trickle writes a few bytes at a time.
type trickle struct{ net.Conn }

func (c *trickle) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i += 7 {
		if n, err := c.Conn.Write(p[i:min(len(p), i+7)]); err != nil {
			return i + n, err
		}
	}
	return len(p), nil
}

// Handshakes that hang, or are no TLS, take no place of others', and end.
func TestSecureHangs(t *testing.T) {
	n, config := startSecure(t, func(cfg *Config) { cfg.MaxConns, cfg.HandshakeTime = 1000, 3*time.Second })
	n.publish("sim:A", bid(1))
	for i := range 200 {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		switch i % 3 {
		case 0: // half a hello
			conn.Write([]byte{22, 3, 1, 2, 0, 1, 0})
		case 1:
			conn.Write(bytes.Repeat([]byte{0xff}, 100))
		}
	}
	began := time.Now()
	p := dialSecure(t, n.addr, config)
	p.next(codec.TypeHello)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("an honest handshake took %v", took)
	}
	eventually(t, 10*time.Second, "one is left", func() bool { return n.opened() == 1 && n.underWay() == 0 })
	p.send(`{"op":"ping","id":1}`)
	p.next(codec.TypeReply)
}

// When more come at once than there is time for, those who were first are let in, and not
// one after the other given up for who comes later.
func TestHandshakesBeyondTheNode(t *testing.T) {
	const most = 20
	n, config := startSecure(t, func(cfg *Config) { cfg.Handshakes = most })
	for range n.work.Places() { // the node is at its end
		n.work.Begin()
	}
	ended := make(chan error, 3*most)
	for range 3 * most {
		raw, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		conn := tls.Client(raw, &tls.Config{RootCAs: config.RootCAs, ServerName: "127.0.0.1"})
		go func() { ended <- conn.Handshake() }()
	}
	full := func() float64 { return testutil.ToFloat64(n.events.handshakes.WithLabelValues("tls_full")) }
	eventually(t, 10*time.Second, "the others are turned away", func() bool { return full() == 2*most })
	for range n.work.Places() {
		n.work.Done()
	}
	in := 0
	for range 3 * most {
		if err := <-ended; err == nil {
			in++
		}
	}
	if in != most {
		t.Errorf("%d were let in, of %d places", in, most)
	}
}

// A client may change its keys whenever it likes, and ask that the node's are, too; what is
// sealed under old ones, and under new, comes in order.
func TestKeyUpdates(t *testing.T) {
	n, _ := startSecure(t, nil)
	n.publish("sim:A", bid(100))
	// K and k, at the start of what it is told, are its commands.
	client := exec.Command(needTool(t, "openssl"), "s_client", "-connect", n.addr, "-CAfile", n.cfg.TLSCert, "-verify_return_error", "-tls1_3")
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	client.Stderr = client.Stdout // which says when a command was taken
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Process.Kill(); client.Wait() })
	said := make(chan []byte, 1000)
	go func() {
		defer close(said)
		for {
			p := make([]byte, 4096)
			k, err := out.Read(p)
			if said <- p[:k]; err != nil {
				return
			}
		}
	}()
	var all []byte
	await := func(what string) {
		t.Helper()
		for late := time.After(10 * time.Second); !bytes.Contains(all, []byte(what)); {
			select {
			case p := <-said:
				all = append(all, p...)
			case <-late:
				t.Fatalf("%q does not come; came: %q", what, all)
			}
		}
		all = all[:0]
	}
	tell := func(p []byte) {
		t.Helper()
		if _, err := in.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	await("Verify return code: 0 (ok)\n---")
	tell([]byte(strings.Replace(upgradeHead, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: tickwire.v1.json\r\n\r\n", 1)))
	await(`"hello"`)
	for i := range 24 {
		tell([]byte("kK"[i%2:][:1] + "\n"))
		await("KEYUPDATE")
		tell(masked(ws.OpText, true, fmt.Appendf(nil, `{"op":"ping","id":%d}`, 1000+i)))
		await(fmt.Sprintf(`"id":%d`, 1000+i))
	}
}
