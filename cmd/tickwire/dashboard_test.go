package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec/client"
	"github.com/tickwire/tickwire/codec/tapes/tapetest"
)

// panel is one of the dashboard, or a row, which has no targets.
type panel struct {
	Title   string
	Targets []struct{ Expr string }
}

// quiet are the panels that have nothing to show where all is well.
var quiet = map[string]bool{
	"Requests that were refused, by code": true, "The certificate ends in": true, "What Redis refused": true,
	"Connections to venues, by event": true, // sim has none
}

// Every panel of the dashboard shows something, in a Prometheus that scrapes feed and node.
func TestDashboard(t *testing.T) {
	program := need(t, "prometheus")
	t.Parallel()
	port, up, at := tapetest.Port(t), tapetest.Port(t), tapetest.Port(t)
	node := tickwire(t, "up", "--listen", "127.0.0.1:"+port, "--metrics", "127.0.0.1:"+up, "--sim-rate", "2000")
	within(t, 20*time.Second, "the node is up", func() bool { return strings.Contains(node.text(), "is up: ") })
	for range 120 { // memory of a connection is told of many
		c := client.New(client.Config{URL: "ws://127.0.0.1:" + port})
		c.OnUpdate = func(*client.Update) {}
		c.Subscribe(client.Terms{}, "sim:*")
		go c.Run(t.Context())
	}
	dir, err := filepath.Abs(filepath.Join(root, "deploy/prometheus/rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s]\nscrape_configs:\n"+
		"  - {job_name: tickwire-fanout, static_configs: [{targets: [\"127.0.0.1:%s\"]}]}\n", dir, up)
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "prometheus", program, "--config.file="+file, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address=127.0.0.1:"+at)
	query := func(expr string) (results int, err error) {
		answer, err := http.Get("http://127.0.0.1:" + at + "/api/v1/query?query=" + url.QueryEscape(expr))
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		var told struct {
			Error string
			Data  struct{ Result []any }
		}
		if err := json.NewDecoder(answer.Body).Decode(&told); err != nil {
			return 0, err
		}
		if told.Error != "" {
			err = fmt.Errorf("%s", told.Error)
		}
		return len(told.Data.Result), err
	}
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal(read(t, "deploy/grafana/tickwire.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "there are rates", func() bool {
		n, err := query(`rate(tickwire_fanout_updates_sent_total[5s]) > 0`)
		return err == nil && n > 0
	})
	shown := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "10s", "$instance", ".*").Replace(target.Expr)
			n, err := query(expr)
			if err != nil || n == 0 && !quiet[p.Title] {
				t.Errorf("%s: %s: %d results, %v", p.Title, expr, n, err)
			}
			shown++
		}
	}
	if shown < 30 {
		t.Errorf("only %d queries", shown)
	}
	if n, err := query(`ALERTS{alertstate="firing"}`); n != 0 || err != nil {
		t.Errorf("%d alerts fire where all is well, %v", n, err)
	}
}
