package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// written is a file of settings.
func written(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tickwire.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What counts first is the command line, then the environment, then the command's section,
// then what is above it; config says which it was, and what it prints is a file like it.
func TestConfig(t *testing.T) {
	const secret = "Fr0mage"
	file := written(t, `
redis: redis://node:`+secret+`@10.0.0.5:6379/2?master_name=tape&sentinel_password=`+secret+`
log: warn
heartbeat: 7s
tape: {redis: 'redis://10.0.0.6'}
feed:
  venue: &two [coinbase, kraken]
  symbols: ["coinbase:BTC-USD", "kraken:A,B-USD"]
  venue-url: {kraken: wss://beta.example.com/v2}
up: {venue: *two, sim-rate: 1e3}
fanout:
  listen: 127.0.0.1:9
  drain: 30s
  pace: 3ms
`)
	t.Setenv("TICKWIRE_DRAIN", "31s")
	t.Setenv("TICKWIRE_PACE", "4ms")
	for _, c := range []struct{ args, want string }{
		{"config fanout --pace 5ms", `log: warn # FILE:3
fanout:
  redis: redis://node:xxxxx@10.0.0.5:6379/2?master_name=tape&sentinel_password=xxxxx # FILE:2
  listen: 127.0.0.1:9 # FILE:12
  heartbeat: 7s # FILE:4
  pace: 5ms # --pace
  drain: 31s # TICKWIRE_DRAIN
  stale-after: 10s # default`},
		{"config feed", `feed:
  redis: redis://node:xxxxx@10.0.0.5:6379/2?master_name=tape&sentinel_password=xxxxx # FILE:2
  venue: [coinbase, kraken] # FILE:7
  symbols: ['coinbase:BTC-USD', 'kraken:A,B-USD'] # FILE:8
  venue-url: {kraken: 'wss://beta.example.com/v2'} # FILE:9
  # replay:`},
		{"config --log error", "up:\n  venue: [coinbase, kraken] # FILE:7\n  sim-rate: 1000 # FILE:10\nfeed:\n  venue: [coinbase, kraken] # FILE:7\nfanout:\n  drain: 31s # TICKWIRE_DRAIN"},
		{"config tape status", "tape:\n  status:\n    redis: redis://10.0.0.6 # FILE:5"},
		{"config tape status --redis redis://" + secret + "@h", "    redis: redis://xxxxx@h # --redis"},
		{"config fanout --token-jwks https://u:" + secret + "@id.example.com/x?access_token=" + secret, "  token-jwks: https://u:xxxxx@id.example.com/x?access_token=xxxxx # --token-jwks"},
		{"config watch x:* --token " + secret, "  token: xxxxx # --token"},
		{"config watch x:* --token no:jwt:" + secret, "  token: xxxxx # --token"},
	} {
		args := append([]string{"--config", file}, strings.Fields(c.args)...)
		stdout, stderr, code := run(t, "", args...)
		lines := strings.Split(strings.ReplaceAll(regexp.MustCompile(` +# `).ReplaceAllString(stdout, " # "), file, "FILE"), "\n")
		for want := range strings.Lines(c.want) { // in this order, others between
			want = strings.TrimSuffix(want, "\n")
			for len(lines) > 0 && strings.Replace(lines[0], "  #", " #", 1) != strings.Replace(want, "  #", " #", 1) {
				lines = lines[1:]
			}
			if len(lines) == 0 {
				t.Errorf("%s: no line %q in\n%s%s", c.args, want, stdout, stderr)
				break
			}
		}
		if code != 0 || strings.Contains(stdout+stderr, secret) {
			t.Errorf("%s: exit code %d\n%s%s", c.args, code, stdout, stderr)
		}
		again, stderr, code := run(t, "", append([]string{"--config", written(t, stdout)}, strings.Fields(c.args)...)...)
		if bare := regexp.MustCompile(` +#.*`); code != 0 || bare.ReplaceAllString(again, "") != bare.ReplaceAllString(stdout, "") {
			t.Errorf("%s, of what it printed: exit code %d, %s%s", c.args, code, again, stderr)
		}
	}
}

// A file may be a pipe, of which there is no second time, and nobody waits for its other end.
func TestConfigOfAPipe(t *testing.T) {
	if stdout, stderr, code := run(t, "log: warn\nfanout: {drain: 77s}", "--config", "/dev/stdin", "config", "fanout"); code != 0 || !strings.Contains(stdout, "drain: 1m17s") || !strings.Contains(stdout, "log: warn") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--config", pipe, "config", "fanout")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { cmd.Process.Signal(syscall.SIGTERM) })
	late := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	if cmd.Wait(); !late.Stop() {
		t.Error("it waits for who would write to the pipe")
	}
}

// A command runs by its file.
func TestConfigRuns(t *testing.T) {
	port, metrics := tapetest.Port(t), tapetest.Port(t)
	file := written(t, fmt.Sprintf("up: {listen: 127.0.0.1:%s, metrics: 127.0.0.1:%s, sim-symbols: 3}", port, metrics))
	t.Setenv("TICKWIRE_CONFIG", file)
	p := tickwire(t, "up")
	within(t, 20*time.Second, "it is up", func() bool { return strings.Contains(p.text(), "is up: ") })
	answer, err := http.Get("http://127.0.0.1:" + metrics + "/healthz")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Error(err)
	}
}

// What is wrong in a file, or in a file that it names, is said, with its place.
func TestConfigWrong(t *testing.T) {
	for text, say := range map[string]string{
		"fanout: {lissten: x}":                          ":1: tickwire fanout has no setting lissten; tickwire fanout --help",
		"\nlissten: x":                                  ":2: tickwire has no setting lissten",
		"symbols: [sim:*]":                              ":1: symbols is one thing in bench and another in token sign and another in up, feed: put it under",
		"fanout: {heartbeat: 5}":                        ":1: --heartbeat: expected duration",
		"fanout: {heartbeat: 5ms}":                      "--heartbeat is at least 1s",
		"fanout: {listen: }":                            ":1: there is no value",
		"fanout: {listen: [a, b]}":                      ":1: one value is due here",
		"fanout: {origin: [[a]]}":                       ":1: a list in a list",
		"fanout: [listen]":                              ":1: lines as NAME: VALUE are due here",
		"fanout: 5":                                     ":1: fanout is a command",
		"just text":                                     ":1: lines as NAME: VALUE are due here",
		"a: [":                                          "did not find expected node content",
		"log: info\nlog: warn":                          ":2: log is there twice",
		"log: info\n---\nlog: warn":                     "a second document",
		"log: noisy":                                    "--log must be one of",
		"config: x":                                     ":1: config names this file",
		"fanout: {token-key: no/such}":                  "no/such: no such file",
		"redis: http://x":                               "a URL is redis://HOST:PORT",
		"fanout: {proxy-from: [10.0.0]}":                "--proxy-from 10.0.0: an address, or a network",
		"fanout: {listen: 443}":                         "--listen 443: address 443: missing port",
		"fanout: {listen: '127.0.0.1:99999'}":           "--listen 127.0.0.1:99999: address 99999: invalid port",
		"fanout: {metrics: here}":                       "--metrics here: address here: missing port",
		"fanout: {tls-cert: no/such, tls-key: no/such}": "no/such: no such file",
		"fanout: {listen: 0.0.0.0:80}":                  "serves other machines",
	} {
		if stdout, stderr, code := run(t, "", "--config", written(t, text), "config", "fanout"); code == 0 || !strings.Contains(stderr, say) {
			t.Errorf("%s: exit code %d\n%s%s", text, code, stdout, stderr)
		}
	}
	for args, say := range map[string]string{
		"config":                            "whose? Name a command",
		"--config no/such config fanout":    "no/such: no such file",
		"--config /dev/zero config fanout":  "has more than 1048576 bytes",
		"config nonsense":                   "unexpected argument nonsense",
		"config fanout --nonsense":          "unknown flag --nonsense",
		"config --config " + written(t, ""): "whose? Name a command",
	} {
		if _, stderr, code := run(t, "", strings.Fields(args)...); code == 0 || !strings.Contains(stderr, say) {
			t.Errorf("%s: exit code %d\n%s", args, code, stderr)
		}
	}
}

// Every flag has a variable, and so is a key of the file.
func TestEveryFlagHasAVariable(t *testing.T) {
	var cli commands
	kong.Visit(cli.parser(t.Context()).Model, func(v kong.Visitable, next kong.Next) error {
		if n, ok := v.(*kong.Node); ok && n.Hidden {
			return nil // for ourselves
		}
		if flag, ok := v.(*kong.Flag); ok && flag.Name != "help" && len(flag.Envs) == 0 {
			t.Errorf("--%s has none", flag.Name)
		}
		return next(nil)
	})
}

func FuzzSettings(f *testing.F) {
	for _, text := range []string{"", "fanout:\n  listen: x", "a: &a [*a]", "&a {a: *a}", "feed: {venue: [a, b]}", "? {}", "- - -", "fanout: !!null x"} {
		f.Add(text)
	}
	var cli commands
	k := cli.parser(f.Context())
	f.Fuzz(func(t *testing.T, text string) {
		s, err := readSettings("file", []byte(text), k.Model)
		if err != nil {
			return
		}
		for _, command := range k.Model.Children {
			for _, flag := range command.Flags {
				s.Resolve(nil, &kong.Path{Command: command}, flag)
			}
		}
	})
}
