package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/tapes"
)

// tapeRun is `tickwire tape` with some arguments: what it printed on both, and its exit code.
func tapeRun(t *testing.T, url string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"tape"}, args...)...)
	cmd.Env = append(os.Environ(), "TICKWIRE_REDIS="+url) // where a password would be
	var out, bad strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &bad
	cmd.Run()
	return out.String(), bad.String(), cmd.ProcessState.ExitCode()
}

// A feed's tape is shown, printed, found right, found wrong when it is, and taken off when
// it is done with.
func TestTape(t *testing.T) {
	r := startRedis(t)
	expect := func(code int, stdout, stderr string, args ...string) {
		t.Helper()
		out, bad, got := tapeRun(t, r.url(), args...)
		t.Logf("tape %s: %d\n%.1500s%s", strings.Join(args, " "), got, out, bad)
		if got != code || !regexp.MustCompile(stdout).MatchString(out) || !regexp.MustCompile(stderr).MatchString(bad) {
			t.Errorf("tape %s: exit code %d, want %d, and %q on stdout, %q on stderr", strings.Join(args, " "), got, code, stdout, stderr)
		}
	}
	expect(0, `^$`, `is a feed running\?`, "status")
	expect(1, `^$`, `is a feed running\?`, "verify")
	f := tickwire(t, "feed", "--redis", r.url(), "--venue", "sim", "--metrics", "off")
	within(t, 10*time.Second, "the feed has a checkpoint", func() bool { return len(checkpointOf(t, r.url(), "sim/0")) == 24 })
	expect(0, `(?m)^STREAM .*\nsim/0 .* 24 +\d\S* ago +none in \S+ retained$`, `^$`, "status")
	expect(0, `^\{"stream":"sim/0",.*"symbols":24,.*"hole":null\}\n$`, `^$`, "status", "sim/0", "--json")
	expect(1, `^$`, `there is no stream "sim/1": there are sim/0`, "status", "sim/1")
	expect(0, `^(\S+ sim/0 \d+-\d+ sim:\S+ seq=\d+ .*\n){3}$`, `^$`, "tail", "--count", "3")
	expect(0, `(?m)^\S+ sim/0 \d+-\d+ sim:ACORN-USD seq=\d+ .*image.* bid=\d+\.\d+ `, `^$`, "tail", "--from", "beginning", "--symbol", "sim:ACORN-USD", "--count", "1")
	expect(0, `^\{"stream":"sim/0","id":"\d+-0",.*"updates":\[\]\}\n(.*\n){4}$`, `^$`, "tail", "sim/0", "--from", "beginning", "--json", "--count", "5")
	expect(0, `^sim/0: good: .* checkpoint \d+-\d+: 24 of 24 symbols are what the entries add up to\n$`, `^$`, "verify", "--for", "1s")
	expect(1, `^$`, `has an entry that was sent|is written by`, "drop", "sim/0")

	opt, _ := redis.ParseURL(r.url())
	rdb := redis.NewClient(opt)
	defer rdb.Close()
	newest := rdb.XRevRangeN(t.Context(), codec.TapeKey("sim/0"), "+", "-", 1).Val()
	if n := rdb.XDel(t.Context(), codec.TapeKey("sim/0"), newest[0].ID).Val(); n != 1 {
		t.Fatal("no entry was deleted")
	}
	expect(1, `^sim/0: WRONG: .*\n  hole: entry \d+-\d+ comes after \d+-\d+: 1 are missing\n`, `1 of 1 streams are wrong`, "verify", "--for", "1s")
	expect(1, `"findings":\["hole: `, `1 of 1 streams are wrong`, "verify", "--for", "0s", "--json")
	expect(0, ` \d+-\d+, \S+ ago\n$`, `^$`, "status")

	f.stop(interrupt)
	expect(1, `silent: nothing came for 1.5s`, `1 of 1 streams are wrong`, "verify")
	within(t, 10*time.Second, "it may be dropped", func() bool {
		out, _, code := tapeRun(t, r.url(), "drop", "sim/0")
		return code == 0 && strings.Contains(out, "removed tape:{sim/0}\nremoved board:{sim/0}\n") && strings.HasSuffix(out, "removed sim/0 in tapes\n")
	})
	expect(0, `^$`, `is a feed running\?`, "status")
	r.kill()
	expect(1, `^$`, `redis at 127.0.0.1:\d+: .*; name the Redis of the feed with --redis`, "status")
}

// ctrl-C ends a tail at once, which is no failure, and so does whoever reads it no more, also
// when there is nothing to print. Of status and verify it is one: they are not done.
func TestTapeInterrupted(t *testing.T) {
	r := startRedis(t)
	tickwire(t, "feed", "--redis", r.url(), "--venue", "sim", "--metrics", "off")
	within(t, 10*time.Second, "the feed has a checkpoint", func() bool { return len(checkpointOf(t, r.url(), "sim/0")) == 24 })
	for command, want := range map[string]int{"tail": 0, "verify": 130} {
		p := tickwire(t, "tape", command, "--redis", r.url())
		time.Sleep(500 * time.Millisecond)
		if code, took := p.stop(interrupt); code != want || took > time.Second {
			t.Errorf("%s ended with %d after %v", command, code, took)
		}
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for args, lines := range map[string]int{"tape tail": 2, "tape tail --symbol sim:NONE": 0, "tape tail --json": 1} {
		cmd := exec.Command(path, append(strings.Fields(args), "--redis", r.url())...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		scan := bufio.NewScanner(out)
		for range lines {
			scan.Scan()
		}
		time.Sleep(200 * time.Millisecond)
		out.Close()
		hung := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil || !hung.Stop() {
			t.Errorf("%s, of which %d lines are read: %v", args, lines, err)
		}
	}
	stopped := exec.Command(path, "tape", "tail", "--redis", r.url(), "--from", "beginning")
	if _, err := stopped.StdoutPipe(); err != nil { // which nobody reads
		t.Fatal(err)
	}
	p := &process{t: t, name: "tape tail", cmd: stopped}
	p.begin()
	time.Sleep(500 * time.Millisecond)
	if code, took := p.stop(interrupt); code != 0 || took > time.Second {
		t.Errorf("a tail whose pipe is full ended with %d after %v", code, took)
	}
}

// Whatever stdout is, it is found out that nobody reads it, and not before.
func TestTapeUntilClosed(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		stdout *os.File
		end    func()
	}{
		"a pipe":   {w, func() { r.Close() }},
		"a socket": {os.NewFile(uintptr(pair[0]), "socket"), func() { unix.Close(pair[1]) }},
		"no file":  {os.NewFile(1<<20, "none"), func() {}},
	} {
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		go untilClosed(ctx, c.stdout, stop)
		time.Sleep(50 * time.Millisecond)
		if ctx.Err() != nil && what != "no file" {
			t.Errorf("%s is taken for closed", what)
		}
		c.end()
		<-ctx.Done()
		if ctx.Err() != context.Canceled {
			t.Errorf("it is not found out that nobody reads %s", what)
		}
		c.stdout.Close()
	}
}

// Decimals are exact, and what has none that is known says so.
func TestTapeLines(t *testing.T) {
	u := tapes.Update{Symbol: "x:A", Unknown: 1 << codec.BidSize}
	u.Seq, u.Flags, u.Quote = 7, codec.Image|codec.Gap, codec.Empty
	u.Quote[codec.Bid], u.Quote[codec.PriceScale], u.Quote[codec.BidSize], u.Quote[codec.Status] = 10250, 3, 5, codec.Stale
	u.Mask, u.History = u.Quote.Present()|1<<codec.Ask, 3
	if got := string(appendEntryUpdate(nil, &u)); got != "x:A seq=7 image gap bid=10.250 bid_size=? ask=null status=stale price_scale=3\n" {
		t.Error(got)
	}
	e := &tapes.Read{Stream: "x/0", Entry: codec.Entry{ID: codec.ID{Epoch: 5, N: 2}, Prev: codec.ID{Epoch: 5, N: 1}, History: 3, SentAt: 4, Server: 9}, Updates: []tapes.Update{u, u}}
	const one = `{"symbol":"x:A","seq":7,"image":true,"history":3,"gap":true,"bid":"10.250","ask":null,"status":"stale","price_scale":3,"unknown":["bid_size"]}`
	line := appendEntryJSON(nil, e)
	if got := string(line); got != `{"stream":"x/0","id":"5-2","prev":"5-1","history":3,"sent_at":4,"server":9,"updates":[`+one+","+one+"]}\n" || !json.Valid(line) {
		t.Error(got)
	}
}

// Times and sizes are as short as a table wants them.
func TestTapeUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-5 * time.Millisecond: "-5ms", 999 * time.Millisecond: "999ms", 1540 * time.Millisecond: "1.5s", 90 * time.Second: "1m30s", 50 * time.Hour: "2d",
	} {
		if got := shortTime(d); got != want {
			t.Errorf("%v is %s", d, got)
		}
	}
	for n, want := range map[int64]string{0: "-", 512: "0.5KiB", 3 << 20: "3.0MiB"} {
		if got := shortBytes(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}
