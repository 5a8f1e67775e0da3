// Command peers is what users would take instead of Tickwire, each doing the same work
// the way its own documentation advises: updates come from Redis, and every subscriber
// is sent those of its symbols.
//
//	peers list                                     what there is, and what it lacks
//	peers serve NAME --listen ADDR --redis URL     one node of it
//	peers publish --redis URL [--as centrifuge]    the updates
//
// `tickwire bench peers` builds and runs it. To add a peer, write its file and give it a
// line in the table; README.md says more.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// peer is a library, or a server, that could be taken instead.
type peer struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"` // how subscribers speak to it: plain, centrifuge, socketio
	Publish  string `json:"publish"`  // how updates get to it, a key of publishers
	Library  string `json:"library"`  // its Go module, or npm package
	Version  string `json:"version"`  // of the library; list fills it in
	Missing  string `json:"missing"`  // what to install before it can run; likewise

	serve func(ctx context.Context, n node) error
}

var peers = []peer{
	{Name: "gorilla", Protocol: "plain", Publish: "pubsub", Library: "github.com/gorilla/websocket", serve: gorilla},
	{Name: "coder", Protocol: "plain", Publish: "pubsub", Library: "github.com/coder/websocket", serve: coder},
	{Name: "gws", Protocol: "plain", Publish: "pubsub", Library: "github.com/lxzan/gws", serve: gwsPeer},
	{Name: "nbio", Protocol: "plain", Publish: "pubsub", Library: "github.com/lesismal/nbio", serve: nbio},
	{Name: "centrifuge", Protocol: "centrifuge", Publish: "centrifuge", Library: "github.com/centrifugal/centrifuge", serve: centrifugePeer},
	{Name: "ws", Protocol: "plain", Publish: "pubsub", Library: "npm:ws", serve: script("ws.mjs")},
	{Name: "uws", Protocol: "plain", Publish: "pubsub", Library: "npm:@trufflesuite/uws-js-unofficial", serve: script("uws.mjs")},
	{Name: "socketio", Protocol: "socketio", Publish: "socketio", Library: "npm:socket.io", serve: script("socketio.mjs")},
}

// node is what a node of a peer is told.
type node struct {
	listen string // address
	redis  string // URL
	dir    string // of this module's source, where the scripts are
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	command, name := "", ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	if command == "serve" && len(args) > 0 {
		name, args = args[0], args[1:]
	}
	var (
		n     node
		m     market
		as    string
		flags = flag.NewFlagSet("peers "+command, flag.ExitOnError)
	)
	flags.StringVar(&n.redis, "redis", "redis://127.0.0.1:6379", "URL of Redis")
	flags.StringVar(&n.dir, "dir", ".", "this module's source")
	flags.StringVar(&n.listen, "listen", "127.0.0.1:8000", "serve: address")
	flags.StringVar(&as, "as", "pubsub", "publish: pubsub, centrifuge or socketio")
	flags.IntVar(&m.symbols, "symbols", 100, "publish: symbols")
	flags.Float64Var(&m.rate, "rate", 1000, "publish: updates a second, of all symbols")
	flags.BoolVar(&m.calm, "calm", false, "publish: no storms, in which one symbol has two updates in three for a while")
	flags.Uint64Var(&m.seed, "seed", 1, "publish: the same seed, the same order of symbols")
	flags.Parse(args)
	switch command {
	case "list":
		return json.NewEncoder(os.Stdout).Encode(list(n.dir))
	case "publish":
		if publishers[as] == nil || m.symbols < 1 || !(m.rate > 0) {
			return fmt.Errorf("publish --as %s --symbols %d --rate %g: out of range", as, m.symbols, m.rate)
		}
		return m.run(ctx, n.redis, publishers[as])
	case "serve":
		if i := slices.IndexFunc(peers, func(p peer) bool { return p.Name == name }); i >= 0 {
			return peers[i].serve(ctx, n)
		}
		return fmt.Errorf("serve %s: no such peer", name)
	}
	return fmt.Errorf("%q: list, serve or publish", command)
}
