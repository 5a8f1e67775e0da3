package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tickwire/tickwire/fanout"
	"github.com/tickwire/tickwire/feed"
)

// manuals are what users read: what they show works.
var manuals = []string{"README.md", "deploy/README.md", "codec/README.md"}

// manual is all of them.
func manual(t *testing.T) (all string) {
	t.Helper()
	for _, file := range manuals {
		all += string(read(t, file))
	}
	return all
}

// blocks are the fenced blocks of a language in the manuals.
func blocks(t *testing.T, language string) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(manual(t), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("the manuals have no %s block", language)
	}
	return all
}

// Every command line of the manuals is one that the program takes.
func TestReadmeCommands(t *testing.T) {
	console, settings := blocks(t, "console"), blocks(t, "yaml")[0]
	t.Chdir(t.TempDir())
	if err := os.WriteFile("session.tsv.gz", nil, 0o600); err != nil { // must be there to be replayed
		t.Fatal(err)
	}
	if err := os.WriteFile("tickwire.yaml", []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, block := range console {
		for line := range strings.Lines(block) {
			command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			command, _, _ = strings.Cut(command, " #")
			args, ours := strings.CutPrefix(strings.Replace(command, "go run ./cmd/tickwire", "tickwire", 1), "tickwire ")
			if !ok || !ours {
				continue
			}
			seen++
			if _, err := new(commands).parser(t.Context()).Parse(strings.Fields(strings.ReplaceAll(args, "'", ""))); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d commands found", seen)
	}
}

// The files that the manuals name are there.
func TestReadmeFiles(t *testing.T) {
	named := regexp.MustCompile(`\]\(([^)#]+)(?:#[\w-]+)?\)|\| ((?:cmd|feed|fanout|codec)/[\w/.]+) \|`)
	for _, page := range manuals {
		for _, m := range named.FindAllStringSubmatch(string(read(t, page)), -1) {
			if file := m[1] + m[2]; !strings.Contains(file, "://") {
				if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), file)); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// The functions of the path of one price are in the files that the README says.
func TestReadmePath(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| \\d+ \\| `(?:\\(\\*(\\w+)\\)\\.|codec\\.)?(\\w+)`.* \\| (\\S+) \\|$").FindAllStringSubmatch(string(read(t, "README.md")), -1)
	if len(rows) != 10 {
		t.Errorf("%d rows", len(rows))
	}
	for _, row := range rows {
		receiver := ""
		if row[1] != "" {
			receiver = `\(\w+ \*` + row[1] + `\) `
		}
		if !regexp.MustCompile(`(?m)^func ` + receiver + row[2] + `\(`).Match(read(t, row[3])) {
			t.Errorf("%s has no %s", row[3], row[2])
		}
	}
}

// The metrics that the manuals, the alerts and the dashboard name are there.
func TestReadmeMetrics(t *testing.T) {
	var cli commands
	if _, err := cli.parser(t.Context()).Parse([]string{"up", "--listen", "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	up, reg, log := &cli.Up, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	up.Feed.Redis = "redis://" + miniredis.RunT(t).Addr()
	up.Fanout.Redis = up.Feed.Redis
	node, err := fanout.New(t.Context(), up.Fanout, reg, log)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- feed.Run(ctx, up.Feed, reg, log) }()
	within(t, 10*time.Second, "the feed has metrics", func() bool { return described(reg)["tickwire_feed_updates_total"] })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	there := described(reg)
	text := manual(t) + string(read(t, "deploy/prometheus/rules.yml")) + string(read(t, "deploy/grafana/tickwire.json"))
	named := regexp.MustCompile(`tickwire_[a-z]+_\w+`).FindAllString(text, -1)
	for _, name := range named {
		if !there[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("there is no metric %s", name)
		}
	}
	if len(named) < 8 {
		t.Errorf("only %d metrics found", len(named))
	}
}

// described are the names of all metrics, those without a series yet included.
func described(reg *prometheus.Registry) map[string]bool {
	descs, names := make(chan *prometheus.Desc), map[string]bool{}
	go func() {
		reg.Describe(descs)
		close(descs)
	}()
	for d := range descs {
		_, after, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ := strings.Cut(after, `"`)
		names[name] = true
	}
	return names
}

// The browser's snippet prints prices, and so does curl's address.
func TestReadmeSnippet(t *testing.T) {
	dir := modules(t, "codec/ts") // for a WebSocket, which Node 20 lacks
	port := startUp(t)
	script := "globalThis.WebSocket = require('ws');\n" + strings.ReplaceAll(blocks(t, "js")[0], "8080", port) + "\nsetTimeout(() => process.exit(0), 3000);\n"
	cmd := exec.Command("node", "-e", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^sim:ACORN-USD \d+\.\d+ \d+\.\d+$`).Match(out) {
		t.Errorf("%v: %s", err, out)
	}
	var s struct{ Symbols map[string]map[string]any }
	within(t, 5*time.Second, "the snapshot answers", func() bool {
		return get("http://127.0.0.1:"+port+"/v1/snapshot?symbols=sim:ACORN-USD", &s) && s.Symbols["sim:ACORN-USD"]["bid"] != nil
	})
}
