package main

import (
	"os/exec"
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
		"up --venue nasdaq":                     "there are binance",
		"up --replay no/such/file":              "no such file",
		"up --replay main_test.go --speed x":    "--speed x: a factor",
		"feed --sim-symbols 0":                  "--sim-symbols is from 1",
		"feed --venue sim --symbols A-B":        "sim has --sim-symbols",
		"feed --venue kraken --symbols okx:A-B": "add --venue okx",
		"fanout --loops=-1":                     "at least 1",
		"fanout --heartbeat 10ms":               "at least 1s",
		"fanout --heartbeat 5":                  "missing unit",
		"fanout --nonsense":                     "unknown flag --nonsense",
		"watch":                                 "<symbol>",
		"watch --encoding xml sim:*":            "msgpack",
		"nonsense":                              "unexpected argument nonsense",
		"bench steady --only ws":                "of bench peers",
		"bench peers --encoding json":           "no comparison",
		"bench peers --subs 9 --symbols 8":      "nobody can subscribe",
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
