package fanout

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/pires/go-proxyproto"

	"github.com/tickwire/tickwire/codec"
)

// A host is an address of IPv4, in whatever form it comes, or 64 bits of IPv6.
func TestHosts(t *testing.T) {
	g := newGuard(&Config{Limits: Limits{HostConns: 2}})
	enter := func(addr string) (*host, bool) { return g.enter(netip.MustParseAddr(addr)) }
	for _, same := range [][]string{
		{"10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1"},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::", "2001:db8:1:2::3"},
		{"fe80::1%eth0", "fe80::2%eth1", "fe80::3"},
	} {
		_, first := enter(same[0])
		second, ok := enter(same[1])
		if _, third := enter(same[2]); !first || !ok || third {
			t.Errorf("%v: %v %v %v", same, first, ok, third)
		}
		g.leave(second)
		if _, again := enter(same[2]); again { // the place is there, but not the budget of connects
			t.Errorf("%v: a third connect within no time", same)
		}
	}
	if _, ok := enter("2001:db8:1:3::1"); !ok {
		t.Error("another 64 bits are another host")
	}
	for range 3 {
		if _, ok := g.enter(netip.Addr{}); !ok {
			t.Error("who has no address is not counted")
		}
	}
}

// However many addresses come, no more are remembered than there is room for, and none is
// forgotten that has a connection.
func TestHostsAreBounded(t *testing.T) {
	g := newGuard(&Config{Limits: Limits{HostConns: 1, MaxConns: 10}})
	for i := range 3 * hostsMax {
		h, ok := g.enter(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		if !ok {
			t.Fatalf("address %d is refused", i)
		}
		if i > 0 {
			g.leave(h)
		}
	}
	if len(g.hosts) > g.room {
		t.Errorf("%d hosts", len(g.hosts))
	}
	if _, ok := g.enter(netip.AddrFrom4([4]byte{10, 0, 0, 0})); ok {
		t.Error("the first, which has a connection, was forgotten")
	}
}

// dialFrom is net.Dial from an address of loopback.
func dialFrom(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// One address connects without end: beyond its share it is told 429, and others have theirs.
func TestConnectFlood(t *testing.T) {
	n := startNode(t, func(cfg *Config) { cfg.HostConns, cfg.MaxConns = 20, 1000 })
	n.publish("sim:A", bid(1))
	good := &peer{t: t, conn: dialFrom(t, "127.0.0.2", n.addr)}
	good.from = good.conn
	io.WriteString(good.conn, upgradeHead)
	head(t, good.conn)
	good.next(codec.TypeHello)
	good.send(`{"op":"subscribe","symbols":["sim:A"]}`)
	good.next(codec.TypeReply)
	good.next(codec.TypeData)
	for range 20 { // these stay: one that says nothing would be told 408, and make room
		conn := dialFrom(t, "127.0.0.1", n.addr)
		io.WriteString(conn, upgradeHead)
		head(t, conn)
	}
	answers := map[string]int{}
	for i := range 1980 {
		conn := dialFrom(t, "127.0.0.1", n.addr)
		text, _ := io.ReadAll(conn)
		status, _, _ := strings.Cut(string(text), "\r\n")
		answers[status]++
		conn.Close()
		if i%100 == 0 {
			n.publish("sim:A", bid(int64(i)))
			if u := good.next(codec.TypeData).Updates[0]; u.Quote[codec.Bid] != int64(i) {
				t.Errorf("%d: %+v", i, u)
			}
		}
	}
	// Who reads a reset before the answer has still been refused.
	if answers["HTTP/1.1 429 Too Many Requests"] < 1000 || answers["HTTP/1.1 429 Too Many Requests"]+answers[""] != 1980 {
		t.Errorf("%v", answers)
	}
	if n := n.opened(); n != 21 {
		t.Errorf("%d are open", n)
	}
}

// An address has its share of the places for plain HTTP, for as long as its connections
// last; others have theirs.
func TestPlainPlaces(t *testing.T) {
	n := startNode(t, func(cfg *Config) { cfg.HostConns, cfg.MaxConns = 100, 200 })
	const unsent = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
	var held []net.Conn
	for range hostPlain {
		conn := dialFrom(t, "127.0.0.1", n.addr)
		io.WriteString(conn, unsent)
		held = append(held, conn)
	}
	eventually(t, 5*time.Second, "its places are taken", func() bool { return n.http.open.Load() == hostPlain })
	ask := func(from string) string {
		conn := dialFrom(t, from, n.addr)
		io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		text, _ := io.ReadAll(conn)
		status, _, _ := strings.Cut(string(text), "\r\n")
		return status
	}
	if got := ask("127.0.0.1"); got != "HTTP/1.1 429 Too Many Requests" {
		t.Errorf("one more is answered %q", got)
	}
	if got := ask("127.0.0.2"); got != "HTTP/1.1 200 OK" {
		t.Errorf("another address is answered %q", got)
	}
	for _, conn := range held {
		conn.Close()
	}
	eventually(t, 15*time.Second, "it has its places again", func() bool { return ask("127.0.0.1") == "HTTP/1.1 200 OK" })
	eventually(t, 5*time.Second, "nobody is counted any more", func() bool {
		n.guard.mu.Lock()
		defer n.guard.mu.Unlock()
		for _, h := range n.guard.hosts {
			if h.conns != 0 || h.plain != 0 {
				return false
			}
		}
		return true
	})
}

// head reads an answer's head, byte by byte.
func head(t *testing.T, r io.Reader) string {
	t.Helper()
	var text []byte
	for one := make([]byte, 1); !bytes.HasSuffix(text, []byte("\r\n\r\n")); {
		if _, err := io.ReadFull(r, one); err != nil {
			t.Fatalf("%v behind %q", err, text)
		}
		text = append(text, one[0])
	}
	return string(text)
}

// proxyHeader is a balancer's.
func proxyHeader(t testing.TB, client string) []byte {
	t.Helper()
	source := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client))
	p, err := proxyproto.HeaderProxyFromAddrs(2, source, &net.TCPAddr{IP: source.IP, Port: 443}).Format()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Behind a balancer, what counts is the address that it tells, plain and with TLS behind
// it; a connection that tells none is ended.
func TestProxyHeader(t *testing.T) {
	n, config := startSecure(t, func(cfg *Config) { cfg.HostConns, cfg.ProxyFrom = 2, []string{"127.0.0.0/31", "::1"} })
	config = config.Clone()
	config.ServerName = "127.0.0.1"
	config.NextProtos = []string{"http/1.1"}
	reaches := func(from string, pieces ...[]byte) error {
		conn := dialFrom(t, from, n.addr)
		for _, p := range pieces {
			conn.Write(p)
			time.Sleep(5 * time.Millisecond)
		}
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		d := ws.Dialer{TLSConfig: config, NetDial: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		_, _, _, err := d.Dial(context.Background(), "wss://127.0.0.1"+codec.StreamPath)
		return err
	}
	first := proxyHeader(t, "203.0.113.7:1000")
	local := append([]byte(nil), first...)
	local[12] = 0x20
	for _, c := range []struct {
		what   string
		from   string
		pieces [][]byte
		want   bool
	}{
		{"one", "127.0.0.1", [][]byte{first}, true},
		{"its second, in pieces", "127.0.0.1", [][]byte{first[:1], first[1:13], first[13:17], first[17:]}, true},
		{"its third", "127.0.0.1", [][]byte{first}, false},
		{"another", "127.0.0.1", [][]byte{proxyHeader(t, "203.0.113.8:1000")}, true},
		{"IPv6", "127.0.0.1", [][]byte{proxyHeader(t, "[2001:db8::1]:1000")}, true},
		{"the balancer itself", "127.0.0.1", [][]byte{local}, true},
		{"and again", "127.0.0.1", [][]byte{local}, true},
		{"and again", "127.0.0.1", [][]byte{local}, true},
		{"no header", "127.0.0.1", nil, false},
		{"version 1", "127.0.0.1", [][]byte{[]byte("PROXY TCP4 203.0.113.9 127.0.0.1 1000 443\r\n")}, false},
		{"from who is no balancer", "127.0.0.2", [][]byte{first}, false},
		{"who is no balancer, without", "127.0.0.2", nil, true},
	} {
		if err := reaches(c.from, c.pieces...); (err == nil) != c.want {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestProxyFrom(t *testing.T) {
	for _, bad := range []string{"x", "10.0.0.0/33", "10.0.0.0/", "host.example.com"} {
		if _, err := parseProxies([]string{bad}); err == nil || !strings.Contains(err.Error(), "--proxy-from "+bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A header is read whole or not at all, and no byte more.
func FuzzProxy(f *testing.F) {
	f.Add(proxyHeader(f, "203.0.113.7:1000"))
	f.Add(proxyHeader(f, "[2001:db8::1]:1000"))
	f.Add([]byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"))
	long, _ := hex.DecodeString("0d0a0d0a000d0a515549540a2111ffff")
	f.Add(long)
	f.Fuzz(func(t *testing.T, p []byte) {
		client, size, err := parseProxy(p)
		if err != nil {
			return
		}
		if size < proxyHead || size > len(p) {
			t.Fatalf("%d of %d bytes", size, len(p))
		}
		again, n, err := parseProxy(append(bytes.Clone(p[:size]), "GET"...))
		if err != nil || again != client || n != size {
			t.Fatalf("%v, %v, %d", err, again, n)
		}
		for cut := range size {
			if _, _, err := parseProxy(p[:cut]); err != errPartial {
				t.Fatal(fmt.Errorf("cut at %d: %w", cut, err))
			}
		}
	})
}
