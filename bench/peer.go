package bench

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// Peers are servers that users would take instead of ours. They all send the updates of
// bench/peers, each in its own protocol: plain here, others in peer_*.go. They promise
// every update: what is left out is lost.

// peerUpdate is an update as bench/peers publishes it: 36 bytes, big-endian.
type peerUpdate struct {
	symbol   uint32
	seq      int64 // of the symbol, from 1, without a hole
	due      int64 // us since the Unix epoch
	bid, ask int64
}

const peerUpdateBytes = 36

var errPeerUpdate = errors.New("the peer sent what is no update")

func parsePeerUpdate(p []byte) (u peerUpdate, rest []byte, err error) {
	if len(p) < peerUpdateBytes {
		return u, p, errPeerUpdate
	}
	u.symbol = binary.BigEndian.Uint32(p)
	for i, field := range [...]*int64{&u.seq, &u.due, &u.bid, &u.ask} {
		*field = int64(binary.BigEndian.Uint64(p[4+8*i:]))
	}
	if u.seq < 1 || u.due < 1 {
		return u, p, errPeerUpdate
	}
	return u, p[peerUpdateBytes:], nil
}

// peerQuote is what bid and ask must be, by splitmix64.
func peerQuote(symbol uint32, seq int64) (bid, ask int64) {
	x := uint64(symbol)<<40 ^ uint64(seq) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	bid = int64(x >> 24)
	return bid, bid + 1 + int64(x&0xff)
}

// peerSymbol names a symbol, and so its channel, topic or room.
func peerSymbol(i uint32) string { return "s" + strconv.Itoa(int(i)) }

// newPeer speaks the protocol of a peer; nil when there is none of that name.
func newPeer(load *Load) protocol {
	switch load.Peer {
	case "plain":
		return plainPeer{load}
	case "centrifuge":
		return centrifugePeer{load}
	case "socketio":
		return socketioPeer{load}
	}
	return nil
}

// plainPeer asks with {"subscribe": ["s0", ...]} and gets binary messages, each one or
// several updates.
type plainPeer struct{ load *Load }

func (plainPeer) head(e *Endpoint, _ *conn) []byte { return upgradeHead(e.Host, "/", "") }

func (p plainPeer) opened(w *worker, c *conn) {
	request, _ := json.Marshal(map[string][]string{"subscribe": w.wantOfPeer(c)})
	w.out = appendFrame(w.out[:0], ws.OpText, request)
	w.write(c, w.out)
}

func (plainPeer) message(w *worker, c *conn, op ws.OpCode, payload []byte) error {
	if op != ws.OpBinary {
		return errPeerUpdate
	}
	w.count.Messages++
	return w.takeOfPeer(c, payload)
}

// wantOfPeer names what a conn subscribes to. One that was connected before keeps its
// seqs: what it missed meanwhile is lost.
func (w *worker) wantOfPeer(c *conn) []string {
	if !c.again {
		for _, i := range w.load.choose(c.number) {
			c.subs = append(c.subs, sub{id: i, sym: i})
		}
		slices.SortFunc(c.subs, func(a, b sub) int { return cmp.Compare(a.id, b.id) })
		c.again, c.waits = true, len(c.subs)
	}
	if c.waits == 0 {
		w.up(c)
	}
	names := make([]string, len(c.subs))
	for i, s := range c.subs {
		names[i] = w.load.Symbols[s.sym]
	}
	return names
}

// takeOfPeer takes the updates of a message.
func (w *worker) takeOfPeer(c *conn, p []byte) error {
	for {
		u, rest, err := parsePeerUpdate(p)
		if err != nil {
			return err
		}
		w.checkOfPeer(c, &u)
		if p = rest; len(p) == 0 {
			return nil
		}
	}
}

// checkOfPeer holds an update against what the publisher must have sent.
func (w *worker) checkOfPeer(c *conn, u *peerUpdate) {
	s := c.find(u.symbol)
	if s == nil {
		w.wrong(fmt.Sprintf("conn %d: symbol %d", c.number, u.symbol), "not subscribed to")
		return
	}
	if bid, ask := peerQuote(u.symbol, u.seq); u.bid != bid || u.ask != ask {
		w.wrong(fmt.Sprintf("%s: seq %d says %d, %d instead of %d, %d", w.words[s.sym], u.seq, u.bid, u.ask, bid, ask), verdictNames[invented])
		return
	}
	if u.seq <= s.seq {
		w.wrong(fmt.Sprintf("%s: seq %d after %d", w.words[s.sym], u.seq, s.seq), "seq went back, or came twice")
		return
	}
	if s.seq > 0 && u.seq > s.seq+1 {
		w.count.Missed += u.seq - s.seq - 1
		s.seq = u.seq - 1
	}
	w.count.Checked++
	w.tally(c, s, &what{seq: u.seq, due: u.due, status: codec.Absent})
}

// peersLastKey is the hash in which their publisher says what it ended with.
const peersLastKey = "bench:last"

// lastOfPeers waits for the publisher's last seqs: of these runs the truth knows nothing
// else, for the updates tell themselves whether they are right.
func (w *witness) lastOfPeers(ctx context.Context) {
	defer w.rdb.Close()
	for ctx.Err() == nil {
		if all, err := w.rdb.Now().HGetAll(ctx, peersLastKey).Result(); err == nil && len(all) > 0 {
			w.truth.endAt(all)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// endAt takes the last seq of every symbol.
func (t *truth) endAt(last map[string]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends = make([]int64, len(t.rows))
	for number, text := range last {
		i, err := strconv.Atoi(number)
		seq, err2 := strconv.ParseInt(text, 10, 64)
		if err == nil && err2 == nil && i >= 0 && i < len(t.ends) {
			t.ends[i] = seq
		}
	}
}
