package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// pythonPackages are what codec/py is used, checked and built with, by the names that they
// are imported by.
const pythonPackages = "websockets, msgpack, numpy, pandas, polars, matplotlib, pytest, hypothesis, mypy, ruff, hatchling, build"

// python is the interpreter of the venv that has them, or the test is skipped. The command is of one of them.
func python(t testing.TB) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(need(t, "hatchling")), "python")
	if out, err := exec.Command(path, "-c", "import "+pythonPackages).CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s: %v: %s", path, err, lines[len(lines)-1])
		}
		t.Skipf("%s: %v: %s", path, err, lines[len(lines)-1])
	}
	return path
}

// The Python client: types, style, vectors, peers on loopback, a real node, and one that
// speaks TLS and asks for tokens.
func TestPythonClient(t *testing.T) {
	python, dir := python(t), filepath.Join(root, "codec/py")
	t.Parallel()
	made, err := makeCertificate("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer made.remove()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	port, door := startUp(t), startDoor(t, "--sim-symbols", "4", "--tls-cert", made.cert, "--tls-key", made.key)
	env := []string{
		"TICKWIRE_DOOR=wss://127.0.0.1:" + door.port, "TICKWIRE_CA=" + made.cert, "TICKWIRE_SIGN_KEY=" + door.key, "TICKWIRE_PROGRAM=" + program,
		"PYTHONDONTWRITEBYTECODE=1", "MPLCONFIGDIR=" + t.TempDir(), "MYPY_CACHE_DIR=" + t.TempDir(), "RUFF_NO_CACHE=true",
	}
	nodeWith(t, env, dir, "", python, "-m", "ruff", "check")
	nodeWith(t, env, dir, "", python, "-m", "ruff", "format", "--check")
	nodeWith(t, env, dir, "", python, "-m", "mypy")
	nodeWith(t, env, dir, "ws://127.0.0.1:"+port, python, "-m", "pytest", "-q", "-p", "no:cacheprovider")
}

// The package builds, and what it installs is whole: it is imported from there, typed, and
// its command line runs.
func TestPythonPackage(t *testing.T) {
	python, out, there := python(t), t.TempDir(), t.TempDir()
	t.Parallel()
	dir, err := filepath.Abs(filepath.Join(root, "codec/py"))
	if err != nil {
		t.Fatal(err)
	}
	node(t, out, "", python, "-m", "build", "--no-isolation", "--outdir", out, dir)
	wheels, _ := filepath.Glob(filepath.Join(out, "*.whl"))
	sources, _ := filepath.Glob(filepath.Join(out, "*.tar.gz"))
	if len(wheels) != 1 || len(sources) != 1 {
		t.Fatalf("made %v, %v", wheels, sources)
	}
	node(t, out, "", python, "-m", "pip", "-q", "install", "--no-deps", "--no-index", "--target", there, wheels[0])
	for _, name := range []string{"tickwire/py.typed", "tickwire-*.dist-info/licenses/LICENSE"} {
		if files, _ := filepath.Glob(filepath.Join(there, name)); len(files) != 1 {
			t.Errorf("the wheel has no %s", name)
		}
	}
	script := "import sys; sys.path.insert(0, " + "r'" + there + "'); import runpy; sys.argv = ['tickwire', 'watch', '--help']; runpy.run_module('tickwire', run_name='__main__')"
	text, err := exec.Command(python, "-I", "-c", script).CombinedOutput()
	if err != nil || !strings.Contains(string(text), "--token-file") {
		t.Errorf("%v: %s", err, text)
	}
}

// The README's lines of Python print a table.
func TestReadmePython(t *testing.T) {
	python := python(t)
	t.Parallel()
	port := startUp(t)
	dir, err := filepath.Abs(filepath.Join(root, "codec/py/src"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", strings.ReplaceAll(blocks(t, "python")[0], "8080", port))
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1")
	time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	out, err := cmd.CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^\d+ +sim:ACORN-USD +\d+\.\d+ +\d+\.\d+ +\d+$`).Match(out) {
		t.Errorf("%v: %s", err, out)
	}
}
