package fanout

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

// busy takes all places to compute in until the node is let go on.
func (n *testNode) busy() (goOn func()) {
	for range n.work.Places() {
		n.work.GoOn()
	}
	return func() {
		for range n.work.Places() {
			n.work.Done()
		}
	}
}

// While a token is verified, no more is kept of what comes behind its head than of heads.
func TestBehindAVerifiedHead(t *testing.T) {
	n, i := startAuth(t, func(cfg *Config) { cfg.Loops, cfg.MaxConns = 1, 1000 })
	good := dialToken(t, n.addr, i.sign())
	goOn := n.busy()
	behind := strings.Repeat("x", 60<<10)
	for k := range 900 {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		bad := i.sign(func(c *token.Claims) { c.ID = fmt.Sprint(k) })
		fmt.Fprint(conn, strings.Replace(upgradeHead, "\r\n\r\n", "\r\nAuthorization: Bearer "+bad+"\r\n\r\n", 1), behind)
	}
	verifying := func() int {
		return n.sum(func(l *loop) (sum int) {
			for ci := range l.conns {
				if l.conns[ci].state == stateVerifying {
					sum++
				}
			}
			return sum
		})
	}
	eventually(t, 10*time.Second, "all heads are read", func() bool { return verifying() == 900 })
	if kept := n.sum(func(l *loop) int { return l.unfinished }); kept > 900*headBytes {
		t.Errorf("%d KB are kept", kept>>10)
	}
	goOn()
	good.send(`{"op":"ping","id":1}`)
	good.next(codec.TypeReply)
}

// A token that is known already does not overtake one that is being verified.
func TestRenewalsInOrder(t *testing.T) {
	n, i := startAuth(t, nil)
	known := i.sign()
	p := dialToken(t, n.addr, known)
	goOn := n.busy()
	narrow := i.sign(func(c *token.Claims) { c.Grant.Symbols = []string{"other:*"} })
	p.send(fmt.Sprintf(`{"op":"auth","id":1,"token":%q}`, narrow))
	p.send(fmt.Sprintf(`{"op":"auth","id":2,"token":%q}`, known))
	if e := p.next(codec.TypeError).Control.(*codec.Error); *e.ID != 2 || e.Code != codec.CodeUnavailable || !e.Retry {
		t.Errorf("%+v", e)
	}
	goOn()
	if r := p.next(codec.TypeReply).Control.(*codec.Reply); r.ID != 1 {
		t.Errorf("%+v", r)
	}
	p.send(fmt.Sprintf(`{"op":"auth","id":3,"token":%q}`, known))
	if r := p.next(codec.TypeReply).Control.(*codec.Reply); r.ID != 3 {
		t.Errorf("%+v", r)
	}
}

// Every answer of plain HTTP ends its connection, that to OPTIONS * too: behind it no head
// would be looked at.
func TestOptionsOfEverything(t *testing.T) {
	n := startNode(t, nil)
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, strings.Repeat("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 3))
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), `"error"`) || !res.Close {
		t.Errorf("%v: %+v %s", err, res, body)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("a second request is answered")
	}
}

// A node one of whose loops fails ends, although handshakes were under way on it.
func TestFailedLoopIsClosed(t *testing.T) {
	before := descriptors(t)
	n, _ := startSecure(t, func(cfg *Config) { cfg.Loops = 1 })
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, 5*time.Second, "it shakes hands", func() bool { return n.underWay() == 1 })
	n.loops[0].mailbox.send(func(l *loop) { l.poll.Close() })
	select {
	case err := <-n.done:
		if err == nil {
			t.Error("nobody says why")
		}
		n.done <- nil
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	n.Close()
	conn.Close()
	eventually(t, 5*time.Second, "its sockets are closed", func() bool { return descriptors(t) <= before+5 })
}
