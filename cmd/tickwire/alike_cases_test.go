package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
	"github.com/tickwire/tickwire/fanout/token"
)

// faults are what befalls the three clients; codec/README.md has, by these names, what all of
// them say to it.
var faults = map[string]func(t *testing.T, says string){
	"the node is killed, and begun again": func(t *testing.T, says string) {
		s := newScene(t)
		s.begin()
		s.come(s.names(), nil)
		s.say("live")
		s.up.kill()
		s.say("live, connecting")
		s.begin()
		s.say(says)
		s.agree()
	},
	"the node stands still, and goes on": func(t *testing.T, says string) {
		s := newScene(t)
		s.begin()
		s.come(s.names(), nil)
		s.say("live")
		s.agree()
		s.up.cmd.Process.Signal(syscall.SIGSTOP)
		s.say("live, stale")
		s.up.cmd.Process.Signal(syscall.SIGCONT)
		s.say(says)
		s.agree()
	},
	"the node drains, and another takes its place": func(t *testing.T, says string) {
		s := newScene(t)
		s.begin()
		s.come(s.names(), nil)
		s.say("live")
		s.up.cmd.Process.Signal(syscall.SIGTERM)
		s.say("live, drain, connecting")
		s.begin()
		s.say(says)
		s.agree()
	},
	"nobody answers for a while": func(t *testing.T, says string) {
		s := newScene(t)
		ln, err := net.Listen("tcp", "127.0.0.1:"+s.port)
		if err != nil {
			t.Fatal(err)
		}
		s.come([]string{"sim:ACORN-USD"}, nil)
		for range 3 {
			if c, err := ln.Accept(); err == nil {
				c.Close()
			}
		}
		ln.Close()
		s.say("connecting")
		time.Sleep(3 * time.Second)
		for _, one := range s.all {
			if n := one.count("connecting"); n < 2 || n > 20 {
				t.Errorf("%s tried %d times", one.name, n)
			}
		}
		s.begin()
		s.say(says)
	},
	"the line is slow, and fast again": func(t *testing.T, says string) {
		s := newScene(t, "--sim-rate", "20000", "--sim-symbols", "30")
		s.begin()
		fast := s.slow("60")
		s.come(s.names(), nil)
		s.say("live")
		for _, one := range s.all {
			within(t, 30*time.Second, one.name+" has missed some", func() bool {
				n := 0
				return one.ask("conflated", &n) == nil && n > 10_000
			})
		}
		fast()
		s.up.cmd.Process.Signal(syscall.SIGSTOP) // for a moment, in which prices stand still
		time.Sleep(500 * time.Millisecond)
		s.up.cmd.Process.Signal(syscall.SIGCONT)
		s.say(says)
	},
	"ten of a thousand symbols are not known": func(t *testing.T, says string) {
		s := newScene(t, "--sim-symbols", "990")
		s.begin()
		names := s.names()
		for i := range 10 {
			names = append(names, fmt.Sprintf("sim:NOPE-%d", i))
		}
		s.come(names, nil)
		s.say(says)
		for _, one := range s.all {
			within(t, 20*time.Second, one.name+" is told of ten", func() bool {
				n := 0
				for i := range 10 {
					n += min(1, one.count(fmt.Sprintf("error %d sim:NOPE-%d true", codec.CodeUnknownSymbol, i)))
				}
				return n == 10
			})
			var quotes map[string]any
			within(t, 20*time.Second, one.name+" has 990", func() bool { return one.ask("quotes", &quotes) == nil && len(quotes) == 990 })
		}
	},
	"the node speaks another version": func(t *testing.T, says string) {
		s := newScene(t)
		codes := make(chan ws.StatusCode, 100)
		s.pretend(func(c net.Conn) {
			hello(c, 2)
			codes <- closeOf(c)
		})
		s.come([]string{"sim:ACORN-USD"}, nil)
		s.say(says)
		s.closed(codes)
	},
	"the node sends garbage": func(t *testing.T, says string) {
		s := newScene(t)
		codes := make(chan ws.StatusCode, 1000)
		came := s.pretend(func(c net.Conn) {
			hello(c, codec.Version)
			wsutil.WriteServerBinary(c, []byte{0x93, 0x00, 0xc1})
			codes <- closeOf(c)
		})
		s.come([]string{"sim:ACORN-USD"}, nil)
		s.few(came, 3*time.Second)
		for _, one := range s.all {
			if one.count("live") < 2 {
				t.Errorf("%s came once: %q", one.name, one.said())
			}
		}
		s.say(says)
		s.closed(codes)
	},
	"the node's clock is an hour off": func(t *testing.T, says string) {
		s := newScene(t)
		s.pretend(func(c net.Conn) {
			hello(c, codec.Version)
			r, err := asked(c)
			if err != nil {
				return
			}
			id, rate := uint32(7), 0.0
			wsutil.WriteServerBinary(c, codec.AppendControl(nil, &codec.Reply{ID: r.ID, Op: r.Op, Rate: &rate, Results: []codec.Result{{Symbol: "sim:ACORN-USD", ID: &id}}}))
			u := codec.Update{ID: 7, Seq: 5, History: 4, Flags: codec.Image, Quote: codec.Empty, Mask: codec.Mask(1<<codec.Bid | 1<<codec.PriceScale)}
			u.Quote[codec.Bid], u.Quote[codec.PriceScale] = 12345, 2
			wsutil.WriteServerBinary(c, codec.AppendUpdate(codec.AppendDataHeader(nil, time.Now().Add(-time.Hour).UnixMicro(), 1), &u))
			wsutil.ReadClientBinary(c)
		})
		s.come([]string{"sim:ACORN-USD"}, nil)
		s.say(says)
		for _, one := range s.all {
			var quotes map[string]map[string]any
			within(t, 10*time.Second, one.name+" has the price", func() bool {
				return one.ask("quotes", &quotes) == nil && quotes["sim:ACORN-USD"]["bid"] == "123.45"
			})
		}
	},
	"the token is another's": func(t *testing.T, says string) {
		d, other := startDoor(t), startDoor(t)
		comeTo(t, d, func(string) (string, string) { return other.sign("desk", time.Hour, token.Grant{}), "" }).say(says)
	},
	"the token ends": func(t *testing.T, says string) {
		d := startDoor(t)
		comeTo(t, d, func(string) (string, string) { return d.sign("desk", 12*time.Second, token.Grant{}), "" }).say(says)
	},
	"the token ends, and a function has the next": func(t *testing.T, says string) {
		d, dir := startDoor(t), t.TempDir()
		file := filepath.Join(dir, "token")
		put(t, file, d.sign("desk", 15*time.Second, token.Grant{}))
		s := comeTo(t, d, func(string) (string, string) { return "", file })
		s.say("live")
		put(t, file, d.sign("desk", time.Hour, token.Grant{}))
		s.say(says)
	},
	"the token has ended, and a function has the next soon": func(t *testing.T, says string) {
		d, dir := startDoor(t), t.TempDir()
		file := filepath.Join(dir, "token")
		put(t, file, d.sign("desk", time.Second, token.Grant{}))
		time.Sleep(2 * time.Second)
		s := comeTo(t, d, func(string) (string, string) { return "", file })
		s.say("connecting")
		put(t, file, d.sign("desk", time.Hour, token.Grant{}))
		s.say(says)
	},
	"the function that gets tokens fails for a while": func(t *testing.T, says string) {
		d, dir := startDoor(t), t.TempDir()
		file := filepath.Join(dir, "token")
		s := comeTo(t, d, func(string) (string, string) { return "", file })
		s.say("connecting")
		put(t, file, d.sign("desk", time.Hour, token.Grant{}))
		s.say(says)
	},
	"the same sub connects elsewhere": func(t *testing.T, says string) {
		d := startDoor(t)
		newest := token.Grant{Conns: 1, Newest: true}
		of := func(name string) string { return d.sign(name, time.Hour, newest) }
		s := comeTo(t, d, func(name string) (string, string) { return of(name), "" })
		s.say("live")
		for _, one := range s.all {
			d.of(t).visit(client.Config{Token: of(one.name)}, "sim:*")
		}
		s.say(says)
	},
	"the token does not cover it": func(t *testing.T, says string) {
		d := startDoor(t)
		comeTo(t, d, func(string) (string, string) {
			return d.sign("desk", time.Hour, token.Grant{Symbols: []string{"kraken:*"}}), ""
		}).say(says)
	},
}

// comeTo has the clients come to a door.
func comeTo(t *testing.T, d *door, tokens func(name string) (token, file string)) *scene {
	s := &scene{T: t, port: d.port}
	s.come([]string{"sim:ACORN-USD"}, tokens)
	return s
}

// put has a file have a text, at once.
func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// section is what stands under a heading.
func section(text, heading string) string {
	_, text, _ = strings.Cut(text, "\n"+heading)
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// The three clients say the same to the same faults: what codec/README.md has.
func TestClientsAlike(t *testing.T) {
	t.Parallel()
	rows := regexp.MustCompile("(?m)^\\| ([^|]+) \\| `([^|`]+)` \\|").FindAllStringSubmatch(section(string(read(t, "codec/README.md")), "## What they say"), -1)
	told := map[string]bool{}
	for _, row := range rows {
		play := faults[row[1]]
		if play == nil {
			t.Errorf("codec/README.md: %q is not played", row[1])
			continue
		}
		told[row[1]] = true
		t.Run(strings.ReplaceAll(row[1], ",", ""), func(t *testing.T) {
			t.Parallel()
			play(t, row[2])
		})
	}
	for name := range faults {
		if !told[name] {
			t.Errorf("codec/README.md has no row of %q", name)
		}
	}
}
