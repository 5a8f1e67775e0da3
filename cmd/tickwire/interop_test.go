package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// visit is what a client saw of a node, from its upgrade to the end of the connection.
type visit struct {
	Protocol, Extensions string
	Images, Updates      int
	Lags                 int  // messages that it is slow
	Pings                *int // nil: it has no way to tell
	Bytes                int
	Code                 int  // of the node's close frame
	Clean                bool // it had a close frame, and sent one
}

// bytesEnough are some pings: one in 4 KiB, if the one before was answered.
const bytesEnough = 32 << 10

// visitor is a client that visits a node three times: it leaves, is sent away, and comes
// back to the node's successor.
type visitor struct {
	t        *testing.T
	url, ca  string // ca is a file; "": plain
	token    string
	protocol string
	ready    func() // it has enough, and waits to be sent away
}

// others are the clients that are not ours. Each offers to compress, but Chromium, which
// does so by itself, and takes what the node has without.
var others = []struct {
	name      string
	protocols []string
	visits    func(v *visitor) ([]visit, error)
}{
	{"ws of npm", []string{codec.ProtocolJSON, codec.ProtocolMsgpack}, (*visitor).npm},
	{"websockets of PyPI", []string{codec.ProtocolJSON}, (*visitor).python},
	{"chromium", []string{codec.ProtocolJSON}, (*visitor).chromium},
	{"gorilla", []string{codec.ProtocolJSON, codec.ProtocolMsgpack}, (*visitor).gorilla},
	{"coder", []string{codec.ProtocolJSON, codec.ProtocolMsgpack}, (*visitor).coder},
}

// TestInterop has clients that are not ours at a node, over ws and wss: their images and
// updates come, their pongs count, whoever leaves and whoever is sent away does so with
// close frames both ways, and they come back.
func TestInterop(t *testing.T) {
	dir := t.TempDir()
	if _, stderr, code := run(t, "", "keys", dir); code != 0 {
		t.Fatal(stderr)
	}
	signed, stderr, code := run(t, "", "token", "sign", "--key", filepath.Join(dir, "signing.pem"), "--sub", "visitor", "--symbols", "sim:*")
	if code != 0 {
		t.Fatal(stderr)
	}
	made, err := makeCertificate("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer made.remove()
	for scheme, more := range map[string][]string{"ws": nil, "wss": {"--tls-cert", made.cert, "--tls-key", made.key}} {
		t.Run(scheme, func(t *testing.T) {
			port, metrics := tapetest.Port(t), tapetest.Port(t)
			h := &host{metrics: metrics, args: append([]string{"up", "--listen", "127.0.0.1:" + port, "--metrics", "127.0.0.1:" + metrics,
				"--sim-rate", "1000", "--drain", "1s", "--token-key", filepath.Join(dir, "public.pem")}, more...)}
			v := visitor{url: scheme + "://127.0.0.1:" + port + "/v1/stream", token: strings.TrimSpace(signed)}
			if more != nil {
				v.ca = made.cert
			}
			h.start(t)
			h.receive(t, v)
		})
	}
}

// host is a node that is visited, and the one that follows it.
type host struct {
	*process
	metrics string
	args    []string
}

func (h *host) start(t *testing.T) {
	t.Helper()
	h.process = tickwire(t, h.args...)
	within(t, 20*time.Second, "the node is up", func() bool { return strings.Contains(h.text(), "tickwire is up: ") })
}

// receive has all clients visit at once, and sends them away when all are ready.
func (h *host) receive(t *testing.T, v visitor) {
	var clients, ready sync.WaitGroup
	for _, c := range others {
		for _, protocol := range c.protocols {
			ready.Add(1)
			clients.Go(func() {
				v := v
				v.protocol, v.ready = protocol, sync.OnceFunc(ready.Done)
				defer v.ready() // also one that fails
				t.Run(c.name+" "+protocol, func(t *testing.T) {
					v.t = t
					visits, err := c.visits(&v)
					if err != nil || len(visits) != 3 {
						t.Fatalf("%d visits: %v", len(visits), err)
					}
					for i, code := range []int{1000, 1012, 1000} {
						visits[i].check(t, protocol, code)
					}
				})
			})
		}
	}
	ready.Wait()
	left := regexp.MustCompile(`(?m)^tickwire_fanout_close_frames_sent_total\{code="(\d+)"\} (\d+)`).FindAllStringSubmatch(h.scrape(t), -1)
	if len(left) != 1 || left[0][1] != "1000" {
		t.Errorf("close frames of the node: %q", left)
	}
	if code, _ := h.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("the node ends with %d", code)
	}
	h.start(t)
	clients.Wait()
}

// scrape is the node's metrics.
func (h *host) scrape(t *testing.T) string {
	t.Helper()
	res, err := http.Get("http://127.0.0.1:" + h.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// check holds a visit to what it should have been. A node pings again when it has the
// answer to the ping before, so five of them are four answers.
func (s *visit) check(t *testing.T, protocol string, code int) {
	t.Helper()
	if s.Protocol != protocol || s.Extensions != "" || s.Images < 24 || s.Updates == 0 || s.Bytes < bytesEnough || s.Pings != nil && *s.Pings < 5 || s.Code != code || !s.Clean {
		text, _ := json.Marshal(s)
		t.Errorf("to end with %d: %s", code, text)
	}
	if s.Lags > 0 { // the machine may be
		t.Logf("told %d times that it is slow", s.Lags)
	}
}

func (v *visitor) npm() ([]visit, error) {
	return v.script(modules(v.t, "codec/ts"), "node", "interop.mjs", "ws")
}

func (v *visitor) chromium() ([]visit, error) {
	need(v.t, "chromium")
	return v.script(modules(v.t, "cmd/tickwire/web/test"), "node", "interop.mjs", "chromium")
}

// python has the interpreter of the venv that has websockets.
func (v *visitor) python() ([]visit, error) {
	return v.script("", filepath.Join(filepath.Dir(need(v.t, "websockets")), "python"), "interop.py")
}

// script runs a client that is a program: it says that it is ready, and at the end what it saw.
func (v *visitor) script(dir, program, file string, args ...string) (visits []visit, err error) {
	file, err = filepath.Abs(filepath.Join("testdata", file))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(v.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(append([]string{file}, args...), v.protocol)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TICKWIRE_URL="+v.url, "TICKWIRE_CA="+v.ca, "TICKWIRE_TOKEN="+v.token)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	last := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if last = lines.Text(); last == "ready" {
			v.ready()
		}
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, errs.Bytes())
	}
	return visits, json.Unmarshal([]byte(last), &visits)
}
