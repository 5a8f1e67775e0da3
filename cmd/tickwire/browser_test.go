package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// modules is a folder of ours whose npm packages are installed, or the test is skipped.
func modules(t testing.TB, dir string) string {
	t.Helper()
	need(t, "node")
	dir = filepath.Join(root, dir)
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s has no node_modules: npm ci there", dir)
		}
		t.Skipf("%s has no node_modules: npm ci there", dir)
	}
	return dir
}

// startUp runs a simulated market and returns its port.
func startUp(t *testing.T, args ...string) (port string) {
	t.Helper()
	port = tapetest.Port(t)
	tickwire(t, append([]string{"up", "--listen", "127.0.0.1:" + port, "--metrics", "off"}, args...)...)
	within(t, 10*time.Second, "the board has symbols", func() bool {
		var s struct{ Symbols []string }
		return get("http://127.0.0.1:"+port+"/v1/symbols", &s) && len(s.Symbols) > 0
	})
	return port
}

// node runs a command in a folder with a node's address in its environment.
func node(t *testing.T, dir, url string, command ...string) {
	t.Helper()
	nodeWith(t, nil, dir, url, command...)
}

// nodeWith does so with more in the environment.
func nodeWith(t *testing.T, env []string, dir, url string, command ...string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, slices.Concat(os.Environ(), env, []string{"TICKWIRE_URL=" + url})
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	t.Logf("%s", out[max(0, len(out)-1000):])
}

// The TypeScript client: types, vectors, a peer on loopback, and a real node. It builds dist,
// which others use that are parallel.
func TestTypeScriptClient(t *testing.T) {
	dir := modules(t, "codec/ts")
	port, door := startUp(t), startDoor(t, "--sim-symbols", "4")
	env := []string{"TICKWIRE_DOOR=http://127.0.0.1:" + door.port, "TICKWIRE_SIGN_KEY=" + door.key}
	node(t, dir, "", "npx", "tsc", "--noEmit")
	nodeWith(t, env, dir, "ws://127.0.0.1:"+port+"/v1/stream", "npx", "vitest", "run")
}

// The examples of the TypeScript client in a browser, with as many rows as people look at.
func TestWatchlist(t *testing.T) {
	modules(t, "codec/ts")
	dir := modules(t, "codec/ts/examples/watchlist")
	need(t, "chromium")
	node(t, dir, "http://127.0.0.1:"+startUp(t, "--sim-symbols", "500", "--sim-rate", "2000")+"/", "npm", "test")
}

// The page in a browser.
func TestPage(t *testing.T) {
	dir := modules(t, "cmd/tickwire/web/test")
	need(t, "chromium")
	node(t, dir, "http://127.0.0.1:"+startUp(t)+"/", "node", "--test", "--test-reporter=spec")
}

// The page of a node that asks for tokens.
func TestPageToken(t *testing.T) {
	dir := modules(t, "cmd/tickwire/web/test")
	need(t, "chromium")
	d := startDoor(t, "--sim-symbols", "6", "--sim-rate", "20") // a browser without a GPU is slow to paint more
	nodeWith(t, []string{"TICKWIRE_SIGN_KEY=" + d.key}, dir, "http://127.0.0.1:"+d.port+"/", "node", "--test", "--test-reporter=spec", "token.test.mjs")
}
