package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// passes runs a program, in the repository's directory, that says whether something is right.
func passes(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(need(t, name), args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Every alert fires where it should, and nowhere else.
func TestAlerts(t *testing.T) {
	passes(t, "promtool", "check", "rules", "deploy/prometheus/rules.yml")
	passes(t, "promtool", "test", "rules", "deploy/prometheus/rules_test.yml")
	tests, runbook := string(read(t, "deploy/prometheus/rules_test.yml")), string(read(t, "deploy/README.md"))
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(read(t, "deploy/prometheus/rules.yml")), -1) {
		if !strings.Contains(tests, `ALERTS{alertname="`+m[1]+`"`) {
			t.Errorf("rules_test.yml does not play %s", m[1])
		}
		if !strings.Contains(runbook, "| "+m[1]+" |") {
			t.Errorf("the runbook of deploy/README.md lacks %s", m[1])
		}
	}
}

// systemd takes the units.
func TestUnits(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"tickwire-feed@.service", "tickwire-fanout.service"} {
		unit := strings.ReplaceAll(string(read(t, "deploy/systemd/"+name)), "/usr/local/bin/tickwire", path)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := passes(t, "systemd-analyze", "verify", filepath.Join(dir, name)); out != "" {
			t.Error(out)
		}
	}
}

// HAProxy takes the balancer's settings.
func TestBalancer(t *testing.T) {
	passes(t, "haproxy", "-c", "-f", "deploy/compose/haproxy.cfg")
}
