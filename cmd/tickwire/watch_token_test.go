package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/fanout"
	"github.com/tickwire/tickwire/fanout/token"
)

// What a node says of a token is told, with what helps, and ends watch with 1; a file that
// is renewed keeps it.
func TestWatchToken(t *testing.T) {
	d := startDoor(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const good = 6 * time.Second
	kept, ends := file("kept", d.sign("kept", good, token.Grant{})), time.Now().Add(good)
	stays := startWatch(t, d.port, "--token-file", kept, "sim:*", "sim:ACORN-USD")
	one := token.Grant{Conns: 1, Newest: true}
	replaced := startWatch(t, d.port, "--token", d.sign("one", time.Hour, one), "sim:*")
	revoked := startWatch(t, d.port, "--token", d.sign("revoked", time.Hour, token.Grant{}), "sim:*")
	for _, w := range []*watcher{stays, replaced, revoked} {
		within(t, 20*time.Second, "connected", func() bool { return strings.Contains(w.text(), "connected to node") })
	}
	startWatch(t, d.port, "--token", d.sign("one", time.Hour, one), "sim:*")
	if err := fanout.Revoke(t.Context(), d.redis, "", "revoked"); err != nil {
		t.Fatal(err)
	}
	file("kept", d.sign("kept", time.Hour, token.Grant{Symbols: []string{"sim:A*"}}))
	live := []string{"watch", "--url", d.url(), "sim:*"}
	for want, args := range map[string][]string{
		"refused with 401: a token is needed":         nil,
		"--token-file, or TICKWIRE_TOKEN":             nil,
		"401: the token has expired; get a new one: ": {"--token", d.sign("x", -time.Minute, token.Grant{})},
		"401: this is not a JWT":                      {"--token-file", file("bad", "abc")},
		"--token-file: open " + dir + "/none: no suc": {"--token-file", dir + "/none"},
		dir + "/empty is empty":                       {"--token-file", file("empty", "")},
		"sim:*: not_allowed: the token does not":      {"--token", d.sign("x", time.Hour, token.Grant{Symbols: []string{"x:*"}})},
		"refused with 4002: the token has expired":    {"--token", d.sign("x", 4*time.Second, token.Grant{})},
	} {
		if _, stderr, code := run(t, "", append(live, args...)...); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%v: %d, %s; want %s", args, code, stderr, want)
		}
	}
	for want, w := range map[string]*watcher{
		"refused with 4001: the token was revoked: connect with a token that this node takes":                  revoked,
		"refused with 4003: a newer connection took its place: the token allows no more connections at a time": replaced,
	} {
		within(t, 20*time.Second, want, func() bool { return strings.Contains(w.text(), want) })
		if w.cmd.Wait(); w.cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%s: exit code %d", want, w.cmd.ProcessState.ExitCode())
		}
	}
	within(t, 20*time.Second, "the new token", func() bool {
		return strings.Contains(stays.text(), "the node took a new token, good for 59m") && strings.Contains(stays.text(), "sim:*: not_allowed")
	})
	seen := -1 // lines, once the first token has ended
	within(t, 20*time.Second, "prices still come", func() bool {
		stays.mu.Lock()
		defer stays.mu.Unlock()
		if seen < 0 && time.Now().After(ends) {
			seen = stays.lines
		}
		return seen >= 0 && stays.lines > seen
	})
	if code, _ := stays.stop(interrupt); code != 0 || strings.Contains(stays.text(), "not connected") {
		t.Errorf("exit code %d\n%s", code, stays.text())
	}
}
