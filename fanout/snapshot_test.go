package fanout

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickwire/tickwire/codec"
)

func always() string { return "" }

// HEAD is answered as GET is, without a body, through a real connection.
func TestHead(t *testing.T) {
	srv := httptest.NewServer(newMux(plain(boardOf("sim:A"), nil), always))
	defer srv.Close()
	for path, want := range map[string]int{"/v1/snapshot": 200, "/v1/symbols": 200, "/v1/snapshot?symbols=x:y": 404, "/healthz": 200} {
		res, err := http.Head(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || len(body) > 0 || res.StatusCode != want || res.Header.Get("Content-Type") != "application/json" || !res.Close {
			t.Errorf("%s: %v %q %v", path, res, body, err)
		}
	}
}

// Whoever reuses connections finds none that served plain HTTP, and upgrades on a new
// one: a proxy with a pool of them does.
func TestUpgradeBehindPlainHTTP(t *testing.T) {
	n := startNode(t, nil)
	n.publish("sim:A", bid(1))
	for _, path := range []string{"/healthz", "/readyz", "/v1/symbols", "/v1/snapshot", "/v1/stream", "/nothing"} {
		res, err := http.Get("http://" + n.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if !res.Close {
			t.Errorf("%s: the connection may be reused: %v", path, res.Header)
		}
	}
	dial(t, n.addr).next(codec.TypeHello)
	eventually(t, 3*time.Second, "no place for plain HTTP is taken", func() bool { return n.http.open.Load() == 0 })
}

// An answer of many pieces has every symbol once.
func TestSnapshotPieces(t *testing.T) {
	symbols := manySymbols(1000)
	h := newMux(plain(boardOf(symbols...), nil), always)
	for _, target := range []string{
		"/v1/snapshot", "/v1/snapshot?symbols=sim:S00999-USD,sim:S*", "/v1/snapshot?symbols=" + url.QueryEscape(strings.Join(symbols, ",")),
	} {
		var got struct {
			Symbols map[string]struct {
				Seq int64
				Bid string
			}
		}
		body := ask(h, "GET", target).Body.Bytes()
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Symbols) != len(symbols) || strings.Count(string(body), `"bid"`) != len(symbols) {
			t.Fatal(len(got.Symbols))
		}
		for i, symbol := range symbols {
			if q := got.Symbols[symbol]; q.Seq != int64(5+i) || q.Bid != "61837.60" {
				t.Fatalf("%s: %+v", symbol, q)
			}
		}
	}
	var names struct{ Symbols []string }
	if err := json.Unmarshal(ask(h, "GET", "/v1/symbols").Body.Bytes(), &names); err != nil || !slices.Equal(names.Symbols, symbols) {
		t.Errorf("%v, %d names", err, len(names.Symbols))
	}
}

// Who reads nothing costs a piece, is cut off soon, and harms nobody.
func TestUnreadSnapshots(t *testing.T) {
	const symbols, unread = 5000, 300
	n := startNode(t, func(cfg *Config) { cfg.MaxConns = 2 * unread })
	n.publishMany(symbols)
	n.publish("x:A", bid(1))
	honest := dial(t, n.addr)
	honest.next(codec.TypeHello)
	honest.send(`{"op":"subscribe","id":1,"symbols":["x:A"]}`)
	honest.next(codec.TypeData)
	before := heapInUse()
	var conns []net.Conn
	for range unread {
		conn, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(4096)
		io.WriteString(conn, "GET /v1/snapshot HTTP/1.1\r\nHost: x\r\n\r\n")
		conns = append(conns, conn)
	}
	grown := func(most int64) {
		if grown := heapInUse() - before; grown > most {
			t.Errorf("the heap grew by %d KB", grown>>10)
		}
	}
	grown(8 << 20)
	eventually(t, 5*time.Second, "the snapshots that may are under way, the others refused", func() bool {
		return n.http.open.Load() == snapshotsMax
	})
	grown(4 << 20)
	for i := range 50 {
		sent := time.Now()
		n.publish("x:A", bid(int64(2+i)))
		honest.next(codec.TypeData)
		if late := time.Since(sent); late > time.Second {
			t.Errorf("an update took %v", late)
		}
	}
	res, err := http.Get("http://" + n.addr + "/v1/snapshot?symbols=x:A")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("one quote meanwhile: %s", res.Status)
	}
	eventually(t, pieceTakeTime+5*time.Second, "all are cut off", func() bool { return n.http.open.Load() == 0 })
	status := map[int]int{}
	for _, conn := range conns {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if status[res.StatusCode]++; res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
			t.Errorf("%v", res.Header)
		}
		if res.StatusCode == http.StatusOK && status[http.StatusOK] == 1 {
			if _, err := io.ReadAll(res.Body); err == nil {
				t.Error("an unread snapshot is whole")
			}
		}
	}
	if status[http.StatusOK] != snapshotsMax || status[http.StatusServiceUnavailable] != unread-snapshotsMax {
		t.Errorf("statuses %v", status)
	}
}

func BenchmarkSnapshot10k(b *testing.B) {
	h := newMux(plain(boardOf(manySymbols(10_000)...), nil), always)
	r := httptest.NewRequest("GET", "/v1/snapshot", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
