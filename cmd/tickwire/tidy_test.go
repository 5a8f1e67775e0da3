package main

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	root     = "../.."
	module   = "github.com/tickwire/tickwire"
	linesMax = 400 // of a file
	funcMax  = 70  // of a function
	bytesMax = 1 << 20
)

// tracked lists the repository's files, by git where there is a checkout.
func tracked(t *testing.T) (files []string) {
	t.Helper()
	if out, err := exec.Command("git", "-C", root, "ls-files").Output(); err == nil && len(out) > 0 {
		for _, file := range strings.Fields(string(out)) {
			if _, err := os.Stat(filepath.Join(root, file)); err == nil {
				files = append(files, file)
			}
		}
		return files
	}
	filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, p)
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	return files
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The top level is fixed; hidden files may be added.
func TestTopLevel(t *testing.T) {
	allowed := map[string]bool{}
	for _, name := range strings.Fields("cmd feed fanout codec bench deploy go.mod go.sum README.md LICENSE") {
		allowed[name] = true
	}
	for _, file := range tracked(t) {
		top, _, _ := strings.Cut(file, "/")
		if !allowed[top] && !strings.HasPrefix(top, ".") {
			t.Errorf("%s does not belong at the top level", top)
		}
	}
}

// A large file is one that was made: a clone has it for ever.
func TestFileSizes(t *testing.T) {
	if err := exec.Command("git", "-C", root, "rev-parse").Run(); err != nil {
		t.Skip("what is tracked is git's to say")
	}
	for _, file := range tracked(t) {
		if info, err := os.Stat(filepath.Join(root, file)); err == nil && info.Size() > bytesMax {
			t.Errorf("%s has %d bytes, more than %d", file, info.Size(), bytesMax)
		}
	}
}

// mayImport says which of our packages a package may import. Dependencies point down;
// feed and fanout share bytes, not code.
var mayImport = map[string][]string{
	"codec":            {},
	"codec/client":     {"codec"},
	"codec/tapes":      {"codec"},
	"fanout/epoll":     {},
	"fanout/token":     {"codec"},
	"fanout":           {"codec", "codec/tapes", "fanout/epoll", "fanout/token"},
	"feed":             {"codec", "codec/tapes"},
	"bench":            {"codec", "codec/tapes", "fanout/epoll", "fanout/token"},
	"cmd/tickwire/web": {},
	"cmd/tickwire":     {"codec", "codec/client", "codec/tapes", "feed", "fanout", "fanout/token", "bench", "cmd/tickwire/web"},
}

// redisHere is where go-redis may be imported, tests aside.
var redisHere = regexp.MustCompile(`^(codec/tapes/(tapetest/)?\w+|(feed|fanout)/tape\w*|bench/(witness|(peer|tape)\w*|chaos_(redis|tape)))\.go$`)

// apart is a module of its own: what it imports is its own affair.
const apart = "bench/peers"

func TestGoFiles(t *testing.T) {
	docs := map[string]bool{}
	for _, file := range tracked(t) {
		if !strings.HasSuffix(file, ".go") {
			continue
		}
		src := read(t, file)
		dir, test := path.Dir(file), strings.HasSuffix(file, "_test.go")
		if formatted, err := format.Source(src); err != nil || !bytes.Equal(formatted, src) {
			t.Errorf("%s: gofmt would change it (%v)", file, err)
		}
		if n := bytes.Count(src, []byte("\n")); n > linesMax {
			t.Errorf("%s has %d lines, more than %d: two ideas", file, n, linesMax)
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, src, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc != nil && !test {
			docs[dir] = true
		} else if !docs[dir] {
			docs[dir] = false
		}
		if dir != apart {
			checkImports(t, file, dir, test, f)
		}
		if !test {
			checkFuncs(t, file, set, f)
		}
	}
	for dir, has := range docs {
		if !has {
			t.Errorf("%s has no package comment; its place is doc.go", dir)
		}
	}
}

func checkImports(t *testing.T, file, dir string, test bool, f *ast.File) {
	for _, spec := range f.Imports {
		name := strings.Trim(spec.Path.Value, `"`)
		if strings.Contains(name, "go-redis") && !test && !redisHere.MatchString(file) {
			t.Errorf("%s imports %s; only the tape's files and the bench's witness may", file, name)
		}
		ours, ok := strings.CutPrefix(name, module+"/")
		if !ok {
			continue
		}
		allowed := test && (ours == "codec/tapes/tapetest" || ours == dir) // examples see their package from outside
		for _, may := range mayImport[dir] {
			allowed = allowed || may == ours
		}
		if !allowed {
			t.Errorf("%s imports %s; %s may import only %v", file, ours, dir, mayImport[dir])
		}
	}
}

func checkFuncs(t *testing.T, file string, set *token.FileSet, f *ast.File) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		if n := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line + 1; n > funcMax {
			t.Errorf("%s: %s has %d lines, more than %d", file, fn.Name.Name, n, funcMax)
		}
	}
}

// Other languages keep the files short too.
func TestOtherFiles(t *testing.T) {
	for _, file := range tracked(t) {
		switch path.Ext(file) {
		case ".ts", ".js", ".mjs", ".css", ".py", ".html":
			if n := bytes.Count(read(t, file), []byte("\n")); n > linesMax && path.Base(file) != "tickwire.js" {
				t.Errorf("%s has %d lines, more than %d", file, n, linesMax)
			}
		}
	}
	if n := bytes.Count(read(t, "README.md"), []byte("\n")); n > 200 {
		t.Errorf("README.md has %d lines, more than 200", n)
	}
}

// The page's client is built from codec/ts: what is committed is what the build makes.
func TestPageClientIsCurrent(t *testing.T) {
	npm := need(t, "npm")
	dir := filepath.Join(root, "codec/ts")
	if _, err := os.Stat(filepath.Join(dir, "node_modules/.bin/esbuild")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("codec/ts has no node_modules: npm ci there")
		}
		t.Skip("codec/ts has no node_modules: npm ci there")
	}
	committed := read(t, "cmd/tickwire/web/tickwire.js")
	out := filepath.Join(t.TempDir(), "tickwire.js")
	cmd := exec.Command(npm, "run", "-s", "bundle", "--", "--outfile="+out)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	built, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(built, committed) {
		t.Error("cmd/tickwire/web/tickwire.js is not what codec/ts makes: npm run bundle there")
	}
}
