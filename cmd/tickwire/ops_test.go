package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// page is what an address answers, "" when not with 200.
func page(url string) string {
	res, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 {
		return ""
	}
	return string(body)
}

// Every process has metrics of all that runs in it, profiles and probes, and up says
// that it is there when there is something to see.
func TestOps(t *testing.T) {
	redis := "redis://" + miniredis.RunT(t).Addr()
	up, feed, node := tapetest.Port(t), tapetest.Port(t), tapetest.Port(t)
	at := func(port string) string { return "127.0.0.1:" + port }
	p := tickwire(t, "up", "--listen", "127.0.0.1:0", "--metrics", at(up))
	open := tickwire(t, "feed", "--redis", redis, "--metrics", ":"+feed)
	tickwire(t, "fanout", "--redis", redis, "--listen", "127.0.0.1:0", "--metrics", at(node))
	for port, want := range map[string]string{
		up: "tickwire_feed_ tickwire_fanout_ tickwire_tape_", feed: "tickwire_feed_", node: "tickwire_fanout_pause_seconds tickwire_tape_",
	} {
		within(t, 10*time.Second, "ready: "+want, func() bool { return page("http://"+at(port)+"/readyz") != "" })
		metrics := page("http://" + at(port) + "/metrics")
		for _, name := range strings.Fields(want + " go_goroutines") {
			if !strings.Contains(metrics, "\n"+name) {
				t.Errorf("no %s among the metrics of %s", name, want)
			}
		}
		if page("http://"+at(port)+"/healthz") == "" || page("http://"+at(port)+"/debug/pprof/cmdline") == "" {
			t.Errorf("no probe or profile at the side of %s", want)
		}
	}
	within(t, time.Second, "up, which is ready, says so", func() bool { return strings.Contains(p.text(), "is up") })
	const warning = "--metrics is beyond loopback"
	if !strings.Contains(open.text(), warning) || strings.Contains(p.text(), warning) {
		t.Errorf("of a port that is open to all: %s; of one that is not: %s", open.text(), p.text())
	}
	taken := tickwire(t, "feed", "--redis", redis, "--metrics", at(feed))
	taken.cmd.Wait()
	if text := taken.text(); !strings.Contains(text, fmt.Sprintf("--metrics %s", at(feed))) || !strings.Contains(text, "choose another") {
		t.Errorf("a port in use: %s", text)
	}
}

// ctrl-C ends up with all there is in it, though somebody watches. The bound is no measure:
// a second is what the README says of a machine that has nothing else to do.
func TestCtrlC(t *testing.T) {
	port := tapetest.Port(t)
	up := tickwire(t, "up", "--listen", "127.0.0.1:"+port, "--metrics", "off")
	w := startWatch(t, port, "sim:*")
	within(t, 10*time.Second, "prices come", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.lines > 100
	})
	code, took := up.stop(interrupt)
	if code != 0 || took > 3*time.Second {
		t.Errorf("exit code %d after %v", code, took)
	}
	t.Log("it took", took)
}

// Nor does ctrl-C wait for an issuer that never answers.
func TestCtrlCAtStart(t *testing.T) {
	issuer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer issuer.Close()
	for _, command := range []string{"fanout", "up"} {
		p := tickwire(t, command, "--redis", "redis://"+miniredis.RunT(t).Addr(), "--listen", "127.0.0.1:0", "--metrics", "off", "--token-jwks", "http://"+issuer.Addr().String())
		asked, err := issuer.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer asked.Close()
		if code, took := p.stop(interrupt); code != 0 || took > 3*time.Second || strings.Contains(p.text(), "serving") {
			t.Errorf("%s: exit code %d after %v", command, code, took)
		}
	}
}

// What is verified, shown or revoked in part is not: that ctrl-C ended it is told, at once.
func TestCtrlCOfTokens(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for args, asks := range map[string]bool{
		"token verify a.b.c --jwks http://" + silent.Addr().String():         true,
		"token revoke --sub alice --redis redis://" + silent.Addr().String(): true,
		"token verify --key main.go":                                         false,
		"token show":                                                         false,
	} {
		p := &process{t: t, name: args, cmd: exec.Command(path, strings.Fields(args)...)}
		p.cmd.Stdout, p.cmd.Stderr = p, p
		if _, err := p.cmd.StdinPipe(); err != nil { // it stays open
			t.Fatal(err)
		}
		p.begin()
		if asks {
			conn, err := silent.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		} else {
			time.Sleep(500 * time.Millisecond) // it has begun to read
		}
		if code, took := p.stop(interrupt); code != 130 || took > 2*time.Second || !strings.Contains(p.text(), "interrupted before it was done") {
			t.Errorf("%s: exit code %d after %v: %s", args, code, took, p.text())
		}
	}
}
