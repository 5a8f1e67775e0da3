package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Wrong flags are told before anything starts, with what would be right, and the
// exit code that shells know for it.
func TestWrongFlags(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for args, say := range map[string]string{
		"up --venue nasdaq":                      "there are binance",
		"up --replay no/such/file":               "no such file",
		"up --replay main_test.go --speed x":     "--speed x: a factor",
		"feed --sim-symbols 0":                   "--sim-symbols is from 1",
		"feed --venue sim --symbols A-B":         "sim has --sim-symbols",
		"feed --venue kraken --symbols okx:A-B":  "add --venue okx",
		"fanout --loops=-1":                      "at least 1",
		"fanout --heartbeat 10ms":                "at least 1s",
		"fanout --heartbeat 5":                   "missing unit",
		"fanout --nonsense":                      "unknown flag --nonsense",
		"watch":                                  "<symbol>",
		"watch --encoding xml sim:*":             "msgpack",
		"nonsense":                               "unexpected argument nonsense",
		"bench steady --only ws":                 "of bench peers",
		"bench peers --encoding json":            "no comparison",
		"bench peers --only foo":                 "--only foo: there are tickwire, gorilla",
		"bench sweep --of conns --values 1,":     "numbers with commas between",
		"bench nonsense":                         "there are burst, churn",
		"bench --load heavy":                     "--load heavy: there are idle",
		"bench --conns 0 --ramp 0":               "--ramp is above 0",
		"bench --slow-bytes 9":                   "goes with --slow",
		"bench --bound 0s":                       "--bound is above 0",
		"bench limit --no-floor":                 "bench limit measures the floor",
		"bench tape --conns 9":                   "no nodes and no subscribers",
		"bench tape --report x":                  "writes no page",
		"bench tape --updates=-1":                "--updates is above 0",
		"bench peers --slow 0.1":                 "do not go with it",
		"bench soak --url ws://x --no-verify":    "name their --node-metrics",
		"bench sweep":                            "one setting: --of conns, or",
		"bench sweep --of subs --values 9":       "two or more, ascending",
		"bench sweep --of subs --values 9,999":   "--of subs, 999: --subs 999 of --symbols 200",
		"fanout --pace 1s":                       "--pace is from 0s to 100ms",
		"fanout --tls-cert x":                    "--tls-cert and --tls-key go together",
		"bench --tls --url ws://x --no-verify":   "take wss://",
		"fanout --listen :8080":                  "--tls-cert and --tls-key and --token-key",
		"up --listen 0.0.0.0:8080 --token-key x": "--tls-cert and --tls-key missing",
		"fanout --token-cookie x":                "goes with --token-key",
		"up --token-cookie a;b --token-key k":    "no cookie has such a name",
		"fanout --origin example.com":            "take https://HOST",
		"fanout --host-conns=-1":                 "--host-conns at least 0",
		"token revoke":                           "name a --jti or a --sub",
		"token revoke --jti x --sub y":           "either --jti or --sub, not both",
		"fanout --token-leeway 1m":               "a leeway go with a key",
		"bench --ca x":                           "--ca, --cert and --key go with --url",
		"bench --url ws://x --no-verify --ca x":  "take wss://",
		"bench --url wss://x --cert x":           "--cert and --key go together",
		"watch --ca x sim:*":                     "which --url does not speak: take wss://",
		"watch --key x sim:*":                    "--cert and --key go together",
		"watch --token x --token-file y sim:*":   "take one",
		"bench --of subs":                        "are of bench sweep",
		"bench --zipf 0.5":                       "--zipf is above 1",
		"bench --burst 0.5":                      "--burst is from 1",
		"bench --slow 2":                         "--slow is from 0 to 1",
		"bench --duration 1ms":                   "--duration is at least 1s",
		"bench --token x":                        "go with --url",
		"bench storm --url ws://x --no-verify":   "begins nodes of its own",
		"bench --url ws://x --nodes 2":           "do not go with --url",
		"bench --url ws://x":                     "name the nodes' tape with --redis",
		"bench peers --subs 9 --symbols 8":       "nobody can subscribe",
		"keys":                                   "<dir>",
		"keys d --alg none":                      "EdDSA",
		"token sign":                             "sign with --key FILE",
		"token sign --key k --secret s":          "or with --secret FILE",
		"token sign --key k --for 0s":            "--for is at least 1s",
		"token sign --key k --for 1w":            "take 90s, 30m, 12h, 7d or 1d12h",
		"token sign --key k --for 1.5d":          "take 90s, 30m, 12h, 7d or 1d12h",
		"token sign --key k --for 999999999h":    "too long: at most 36500d",
		"token sign --key k --for 99999d":        "too long: at most",
		"token sign --key k --for 36500d1s":      "is too long",
		"token sign --key k --symbols kraken":    "--symbols kraken is no symbol and no pattern: take VENUE:NAME",
		"token sign --key k --rate=-1":           "below 0",
		"token sign --key k --conns 1":           "sub is missing",
		"token sign --key k --newest":            "--newest goes with --conns",
		"token verify":                           "verify with --key FILE",
		"token verify --jwks http://a.b/c":       "https:// URL",
		"token verify --key k --leeway 6m":       "leeway is from 0s to 5m0s",
		"tape tail --from x":                     "--from \"x\" is no entry's id: take beginning",
		"tape tail --symbol sim":                 "--symbol sim is no symbol and no pattern: take VENUE:NAME",
		"tape tail --count=-1":                   "--count must not be below zero",
		"tape verify --for=-1s":                  "--for must not be below zero",
		"tape drop":                              "<stream>",
	} {
		out, err := exec.Command(path, strings.Fields(args)...).CombinedOutput()
		code := -1
		if exit, ok := err.(*exec.ExitError); ok {
			code = exit.ExitCode()
		}
		if code != 2 || !strings.Contains(string(out), say) || strings.Contains(string(out), "is up") {
			t.Errorf("%s: exit code %d\n%s", args, code, out)
		}
	}
}

// The names of --only are those of bench/peers, in its order, and tickwire before them.
func TestPeerNames(t *testing.T) {
	names := []string{"tickwire"}
	for _, m := range regexp.MustCompile(`(?m)^\t\{Name: "(\w+)"`).FindAllSubmatch(read(t, "bench/peers/main.go"), -1) {
		names = append(names, string(m[1]))
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(path, "bench", "peers", "--only", "foo").CombinedOutput()
	if !strings.Contains(string(out), "there are "+strings.Join(names, ", ")+"\n") || len(names) < 2 {
		t.Errorf("bench/peers has %v; --only says %s", names, out)
	}
}

// The certificate that is made for a run is one like any other.
func TestUpFlags(t *testing.T) {
	for _, args := range []string{"up --tls --client-ca x", "up --tls --listen 0.0.0.0:8080 --token-key x"} {
		if _, err := new(commands).parser(t.Context()).Parse(strings.Fields(args)); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// A list may have blanks, and a bench needs no Redis of others.
func TestBenchFlags(t *testing.T) {
	var cli commands
	if _, err := cli.parser(t.Context()).Parse([]string{"bench", "sweep", "--of", "conns", "--values", "100, 200"}); err != nil || len(cli.Bench.Bench.Values) != 2 {
		t.Error(err, cli.Bench.Bench.Values)
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "bench", "--redis", "redis://user:secret@127.0.0.1:1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "connection refused; leave out --redis") || strings.Contains(string(out), "secret") {
		t.Errorf("%v: %s", err, out)
	}
}
