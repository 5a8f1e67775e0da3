package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
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

// The image's recipe is a good one, and what compose.yaml names is there: services, files,
// and variables of ours.
func TestCompose(t *testing.T) {
	passes(t, "hadolint", "deploy/Dockerfile")
	passes(t, "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")
	var cli commands
	known := map[string]bool{}
	kong.Visit(cli.parser(t.Context()).Model, func(v kong.Visitable, next kong.Next) error {
		if flag, ok := v.(*kong.Flag); ok {
			for _, env := range flag.Envs {
				known[env] = true
			}
		}
		return next(nil)
	})
	var compose struct {
		Services map[string]struct {
			DependsOn   map[string]any `yaml:"depends_on"`
			Environment map[string]any
			Volumes     []string
		}
	}
	if err := yaml.Unmarshal(read(t, "deploy/compose.yaml"), &compose); err != nil {
		t.Fatal(err)
	}
	if len(compose.Services) < 8 {
		t.Errorf("%d services", len(compose.Services))
	}
	for name, service := range compose.Services {
		for other := range service.DependsOn {
			if _, ok := compose.Services[other]; !ok {
				t.Errorf("%s depends on %s, which there is not", name, other)
			}
		}
		for env := range service.Environment {
			if strings.HasPrefix(env, "TICKWIRE_") && !known[env] {
				t.Errorf("%s: no flag has %s", name, env)
			}
		}
		for _, volume := range service.Volumes {
			file, _, _ := strings.Cut(volume, ":")
			if _, err := os.Stat(filepath.Join(root, "deploy", file)); strings.HasPrefix(file, "./") && err != nil {
				t.Errorf("%s: %v", name, err)
			}
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

// The image builds and runs, where there is what builds images.
func TestImage(t *testing.T) {
	engine := ""
	answers := func(args ...string) bool { return exec.Command(args[0], args[1:]...).Run() == nil }
	if answers("docker", "info") && answers("docker", "buildx", "version") {
		engine = "docker"
	}
	if answers("podman", "info") {
		engine = "podman"
	}
	if engine == "" {
		t.Skip("neither docker with buildx nor podman answers")
	}
	passes(t, engine, "build", "-f", "deploy/Dockerfile", "-t", "tickwire:test", "--build-arg", "COMMIT=abc123", ".")
	if out := passes(t, engine, "run", "--rm", "--read-only", "--cap-drop", "all", "tickwire:test", "version"); !strings.Contains(out, "commit abc123") {
		t.Error(out)
	}
}

// HAProxy takes the balancer's settings.
func TestBalancer(t *testing.T) {
	passes(t, "haproxy", "-c", "-f", "deploy/compose/haproxy.cfg")
}

// object is what of a Kubernetes object tells which pods it is of.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Selector, PodSelector any
		Template              struct {
			Metadata struct{ Labels map[string]any }
		}
	}
}

// The chart renders, for each way to set it: Kubernetes takes what comes, of its releases from
// the first that the chart is for to the newest; every selector finds pods; and the settings
// are such that a feed and a node take them.
func TestChart(t *testing.T) {
	values, _ := filepath.Glob(filepath.Join(root, "deploy/helm/ci/*.yaml"))
	if len(values) < 3 {
		t.Fatal(values)
	}
	need(t, "kubernetes-validate")
	for _, file := range values {
		t.Run(filepath.Base(file), func(t *testing.T) {
			file := strings.TrimPrefix(file, root+"/")
			passes(t, "helm", "lint", "--quiet", "deploy/helm", "-f", file)
			rendered := filepath.Join(t.TempDir(), "rendered.yaml")
			cmd := exec.Command(need(t, "helm"), "template", "tickwire", "deploy/helm", "--kube-version", "1.27.0", "-f", file)
			cmd.Dir = root
			text, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(rendered, text, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, release := range []string{"1.27", "1.37"} {
				passes(t, "kubernetes-validate", "--strict", "--quiet", "--no-warn", "-k", release, rendered)
			}
			checkObjects(t, text)
		})
	}
	for set, says := range map[string]string{
		"fanout.replicas=1": "fanout.insecure=true", // without certificate and tokens
		"fanout.insecure=true,fanout.settings.listen=:80": "settings cannot have listen",
		"fanout.insecure=true,fanout.replica=1":           "replica",
		"fanout.insecure=true,redis.url=redis://:pw@h":    "redis.secret",
	} {
		out, err := exec.Command(need(t, "helm"), "template", "tickwire", filepath.Join(root, "deploy/helm"), "--kube-version", "1.27.0", "--set", set).CombinedOutput()
		if err == nil || !strings.Contains(string(out), says) {
			t.Errorf("%s: %v, %s", set, err, out)
		}
	}
}

func checkObjects(t *testing.T, text []byte) {
	var objects []object
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var o object
		if err := decoder.Decode(&o); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	pods := func(selector map[string]any) (found int) {
		for _, o := range objects {
			matches := len(o.Spec.Template.Metadata.Labels) > 0
			for key, value := range selector {
				matches = matches && o.Spec.Template.Metadata.Labels[key] == value
			}
			if matches {
				found++
			}
		}
		return found
	}
	for _, o := range objects {
		for _, s := range []any{o.Spec.Selector, o.Spec.PodSelector} {
			selector, _ := s.(map[string]any)
			if labels, ok := selector["matchLabels"].(map[string]any); ok {
				selector = labels
			}
			if _, some := selector["app.kubernetes.io/component"]; some && pods(selector) != 1 {
				t.Errorf("the selector of %s %s finds %d kinds of pods", o.Kind, o.Metadata.Name, pods(selector))
			}
		}
		if settings := o.Data["tickwire.yaml"]; settings != "" {
			checkSettings(t, settings)
		}
	}
}

// checkSettings has feed and fanout take a file, with what its secrets have.
func checkSettings(t *testing.T, settings string) {
	dir := t.TempDir()
	if _, stderr, code := run(t, "", "keys", filepath.Join(dir, "tokens"), "--host", "localhost"); code != 0 {
		t.Fatal(stderr)
	}
	if err := os.Mkdir(filepath.Join(dir, "tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"cert.pem": "tls.crt", "key.pem": "tls.key"} {
		if err := os.Rename(filepath.Join(dir, "tokens", from), filepath.Join(dir, "tls", to)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TICKWIRE_LISTEN", "0.0.0.0:8080") // of the image
	file := written(t, strings.ReplaceAll(settings, "/etc/tickwire", dir))
	for _, command := range []string{"feed", "fanout"} {
		if _, stderr, code := run(t, "", "--config", file, "config", command); code != 0 {
			t.Errorf("%s: %s\n%s", command, stderr, settings)
		}
	}
}
