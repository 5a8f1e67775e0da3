package fanout

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// echo has a loop send every message back, with the frames of a node and nothing else of
// it: no hello, whose ping no case waits for.
type echo struct{ *loop }

func (e echo) welcome(ci uint32, answer []byte) { e.write(ci, answer) }

func (e echo) request(ci uint32, text bool, payload []byte) {
	op := ws.OpBinary
	if text {
		op = ws.OpText
	}
	e.control = appendFrame(e.control[:0], op, payload)
	e.write(ci, e.control)
}

// echoes has every loop of a node echo.
func (n *testNode) echoes() {
	for _, l := range n.loops {
		l.mailbox.send(func(l *loop) { l.service = echo{l} })
	}
}

// autobahn is what a report says of one case of Autobahn's.
type autobahn struct {
	ID              string
	Behavior        string
	BehaviorClose   string
	Description     string
	Expectation     string
	Received        json.RawMessage
	Result          string
	ResultClose     string
	RemoteCloseCode int
	WasClean        bool
	HTTPResponse    string
}

// TestConformance has kosoku, a runner of Autobahn's test cases, at a node.
func TestConformance(t *testing.T) {
	if _, err := exec.LookPath("kosoku"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("kosoku is not installed")
		}
		t.Skip("kosoku is not installed: pip install kosoku, in a venv")
	}
	t.Run("ws", func(t *testing.T) {
		n := startNode(t, func(cfg *Config) { cfg.Heartbeat = time.Hour })
		n.echoes()
		conform(t, n.addr)
	})
	t.Run("wss", func(t *testing.T) {
		n, config := startSecure(t, func(cfg *Config) { cfg.Heartbeat = time.Hour })
		n.echoes()
		conform(t, relay(t, n.addr, config))
	})
}

// relay has who speaks no TLS, as kosoku, speak to a node that does: plain connections to
// its address go on over TLS. It passes on the end of each direction by itself, which the
// cases look at.
func relay(t *testing.T, addr string, config *tls.Config) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		open.Wait()
	})
	go func() {
		for {
			plain, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer plain.Close()
				secure, err := tls.Dial("tcp", addr, config)
				if err != nil {
					t.Error(err)
					return
				}
				defer secure.Close()
				carry(plain.(*net.TCPConn), secure)
			})
		}
	}()
	return ln.Addr().String()
}

// carry copies both ways until both have ended. What a client sends behind the node's end
// is read, lest it be reset before it has read that.
func carry(plain *net.TCPConn, secure *tls.Conn) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		io.Copy(secure, plain)
		secure.CloseWrite()
		io.Copy(io.Discard, plain)
	}()
	io.Copy(plain, secure)
	plain.CloseWrite()
	<-sent
}

// conform plays all cases at an address of plain TCP, for kosoku has no TLS, and fails for
// each that does not end as it should.
func conform(t *testing.T, addr string) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// It fails for the cases beyond the node's bound; what it says of each counts.
	said, _ := exec.CommandContext(ctx, "kosoku", "--parallelism", "4", "--outdir", dir, "ws://"+addr+codec.StreamPath).CombinedOutput()
	reports, err := filepath.Glob(filepath.Join(dir, "*_case_*.json"))
	if err != nil || len(reports) == 0 {
		t.Fatalf("no reports: %v\n%s", err, said)
	}
	ended := map[string]int{}
	for _, report := range reports {
		text, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		var c autobahn
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		want, ok := c.asItShould()
		if ended[want]++; !ok {
			t.Errorf("%s: not %s, but %s, %s, code %d: %s\n%s\nexpected: %s\nreceived: %.300s\n%s", c.ID, want,
				c.Behavior, c.BehaviorClose, c.RemoteCloseCode, c.ResultClose, c.Description, c.Expectation, c.Received, c.Result)
		}
	}
	checkFigures(t, len(reports), ended)
}

// The ends that a case may have.
const (
	passes     = "passed"
	isLate     = "passed, if late"
	tooLong    = "answered 1009"
	notOffered = "without compression"
)

// late are the cases whose text goes wrong in the midst of a frame: a node looks at a
// frame when it has come whole, which is soon enough for RFC 6455, 8.1.
var late = []string{"6.4.3", "6.4.4"}

// asItShould says how a case should end, and whether it did.
func (c *autobahn) asItShould() (want string, ok bool) {
	fine := []string{"OK", "INFORMATIONAL"}
	ok = slices.Contains(fine, c.Behavior) && slices.Contains(fine, c.BehaviorClose)
	switch group, _, _ := strings.Cut(c.ID, "."); {
	case group == "12" || group == "13":
		return notOffered, c.Behavior == "UNIMPLEMENTED" && c.BehaviorClose == "OK" && !strings.Contains(c.HTTPResponse, "Sec-WebSocket-Extensions")
	case c.longest() > limitBytesMost:
		none := bytes.Equal(c.Received, []byte("[]"))
		return tooLong, c.RemoteCloseCode == int(ws.StatusMessageTooBig) && c.WasClean && none
	case slices.Contains(late, c.ID):
		return isLate, ok || c.Behavior == "NON-STRICT" && c.BehaviorClose == "OK"
	}
	return passes, ok
}

var lengths = regexp.MustCompile(`length (\d+) \* 2\*\*(\d+)|Send (\d+)K message`)

// longest is the length of a case's message, where its description has one of more than
// some KB.
func (c *autobahn) longest() int {
	m := lengths.FindStringSubmatch(c.Description)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1] + m[3])
	power, _ := strconv.Atoi(m[2])
	if m[3] != "" {
		power = 10
	}
	return n << power
}

// The README has how many cases there are, and how they end.
func checkFigures(t *testing.T, all int, ended map[string]int) {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(\d+) of Autobahn's cases[^.]* (\d+) pass[^.]* (\d+) [^.]*1009[^.]* (\d+) more`).FindStringSubmatch(strings.ReplaceAll(string(readme), "\n", " "))
	if m == nil {
		t.Fatal("README.md has no figures")
	}
	passed := ended[passes] + ended[isLate]
	for i, n := range []int{all - ended[notOffered], passed, ended[tooLong], ended[notOffered]} {
		if m[1+i] != strconv.Itoa(n) {
			t.Errorf("README.md has %s where %d is right; %v", m[1+i], n, ended)
		}
	}
}
