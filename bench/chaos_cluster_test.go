//go:build chaos

package bench

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tickwire/tickwire/codec"
)

// shardServer is a master of a Cluster.
type shardServer struct {
	*member
	addr, port, id string
	rdb            *redis.Client
}

// slotsAll is how many slots a Cluster has.
const slotsAll = 16384

// beginCluster begins three masters that have all slots among them.
func beginCluster(t *testing.T, s *chaosStand) (all []*shardServer) {
	t.Helper()
	exe, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		addr, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		port := strconv.Itoa(int(addr.Port()))
		m := newMember(s.dir, fmt.Sprintf("redis %d", i+1), exe, "--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no",
			"--cluster-enabled", "yes", "--cluster-config-file", fmt.Sprintf("nodes%d.conf", i+1), "--cluster-node-timeout", "5000")
		if err := m.begin(); err != nil {
			t.Fatal(err)
		}
		n := &shardServer{member: m, addr: addr.String(), port: port, rdb: redis.NewClient(clientTo(addr.String()))}
		t.Cleanup(func() {
			n.rdb.Close()
			n.kill()
		})
		within(t, 10*time.Second, m.name, func() bool { n.id = n.rdb.ClusterMyID(t.Context()).Val(); return n.id != "" })
		must(t, n.rdb.ClusterAddSlotsRange(t.Context(), i*slotsAll/3, (i+1)*slotsAll/3-1).Err())
		must(t, n.rdb.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		all = append(all, n)
	}
	for _, n := range all[1:] {
		must(t, n.rdb.ClusterMeet(t.Context(), "127.0.0.1", all[0].port).Err())
	}
	for _, n := range all {
		within(t, 20*time.Second, "the Cluster", func() bool {
			info := n.rdb.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// moveSlot gives a slot and what is in it to another master, as redis-cli does.
func moveSlot(t *testing.T, all []*shardServer, slot int64, from, to *shardServer) {
	t.Helper()
	ctx := context.Background()
	must(t, to.rdb.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.id).Err())
	must(t, from.rdb.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id).Err())
	for { // a lease may come in between
		keys, err := from.rdb.ClusterGetKeysInSlot(ctx, int(slot), 100).Result()
		must(t, err)
		if len(keys) == 0 {
			break
		}
		args := []any{"MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS"}
		for _, key := range keys {
			args = append(args, key)
		}
		must(t, from.rdb.Do(ctx, args...).Err())
	}
	must(t, to.rdb.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", to.id).Err())
	must(t, from.rdb.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", to.id).Err())
	for _, n := range all {
		if n != to && n != from {
			must(t, n.rdb.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", to.id).Err())
		}
	}
}

// Streams move from one master of a Cluster to another while they are written and read:
// nobody misses anything, or hears of it.
func TestCluster(t *testing.T) {
	s := testStand(t, 2000)
	all := beginCluster(t, s)
	s.url = fmt.Sprintf("redis://%s?cluster=true&addr=%s&addr=%s", all[0].addr, all[1].addr, all[2].addr)
	must(t, s.beginService(t.Context(), 8, 2))
	c := underway(t, s)
	gaps, holes := c.crowd.gaps.Load(), c.ledger.holes
	moved := 0
	for range 3 {
		for _, stream := range s.streams {
			slot, err := all[0].rdb.ClusterKeySlot(t.Context(), codec.TapeKey(stream)).Result()
			must(t, err)
			for i, n := range all {
				if n.rdb.Exists(t.Context(), codec.TapeKey(stream)).Val() == 1 {
					moveSlot(t, all, slot, n, all[(i+1)%len(all)])
					moved++
					break
				}
			}
			time.Sleep(200 * time.Millisecond)
		}
		c.mustConverge(t, "all streams have moved")
	}
	if moved != 3*len(s.streams) {
		t.Errorf("%d streams were moved, not %d", moved, 3*len(s.streams))
	}
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	if now := c.crowd.gaps.Load(); now != gaps || c.ledger.holes != holes {
		t.Errorf("%d updates were flagged GAP, and %d entries did not follow", now-gaps, c.ledger.holes-holes)
	}
}
