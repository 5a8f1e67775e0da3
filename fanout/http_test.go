package fanout

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/tickwire/tickwire/codec"
)

// boardOf is a master board with these symbols on it.
func boardOf(symbols ...string) *master {
	m, s, b := newMaster(), new(stream), newBatch()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, symbol := range symbols {
		m.merge(b, s, []byte(symbol), says(int64(5+i), codec.Image, map[codec.Field]int64{
			codec.Bid: 6183760, codec.PriceScale: 2, codec.Trades: 7, codec.Status: codec.Live,
		}))
	}
	m.publish()
	b.release()
	return m
}

func ask(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestHTTP(t *testing.T) {
	page := fstest.MapFS{
		"index.html": {Data: []byte("<!doctype html>board")},
		"app/x.js":   {Data: []byte("export {}")},
	}
	why := ""
	h := newMux(boardOf("sim:B", "sim:A"), page, func() string { return why })
	quote := func(seq int) string {
		return fmt.Sprintf(`{"seq":%d,"bid":"61837.60","trades":7,"status":"live","price_scale":2}`, seq)
	}
	const none = "none of these symbols is on the board; it may appear later"
	for _, c := range []struct {
		method, target string
		status         int
		want           string
	}{
		{"GET", "/v1/symbols", 200, `{"symbols":["sim:A","sim:B"]}`},
		{"GET", "/v1/snapshot", 200, `{"symbols":{"sim:A":` + quote(6) + `,"sim:B":` + quote(5) + `}}`},
		{"GET", "/v1/snapshot?symbols=", 200, `{"symbols":{"sim:A":` + quote(6) + `,"sim:B":` + quote(5) + `}}`},
		{"GET", "/v1/snapshot?symbols=sim:A", 200, `{"symbols":{"sim:A":` + quote(6) + `}}`},
		{"GET", "/v1/snapshot?symbols=sim:A,sim:A&symbols=sim:B", 200, `{"symbols":{"sim:A":` + quote(6) + `,"sim:B":` + quote(5) + `}}`},
		{"GET", "/v1/snapshot?symbols=sim:A,sim:C", 200, `{"symbols":{"sim:A":` + quote(6) + `},"unknown":["sim:C"]}`},
		{"GET", "/v1/snapshot?symbols=,&symbols=", 200, `{"symbols":{"sim:A":` + quote(6) + `,"sim:B":` + quote(5) + `}}`},
		{"GET", "/v1/snapshot?symbols=sim:C,%22%00%C3%A9", 404, `{"symbols":{},"unknown":["sim:C","\"\u0000é"],"error":"` + none + `"}`},
		{"GET", "/v1/snapshot?symbols=%zz", 400, `{"error":"invalid URL escape \"%zz\""}`},
		{"GET", "/v1/snapshot?symbols=sim:A;x", 400, `{"error":"invalid semicolon separator in query"}`},
		{"POST", "/v1/snapshot", 405, "Method Not Allowed"},
		{"DELETE", "/nothing", 405, "Method Not Allowed"},
		{"GET", "/healthz", 200, `{"ok":true}`},
		{"GET", "/readyz", 200, `{"ok":true}`},
		{"GET", "/v1/nothing", 404, "404 page not found"},
		{"GET", "/../x", 307, ""},
		{"GET", "/", 200, "<!doctype html>board"},
		{"GET", "/app/x.js", 200, "export {}"},
		{"GET", "/v1/stream", 426, ""},
	} {
		w := ask(h, c.method, c.target)
		if w.Code != c.status {
			t.Errorf("%s %s: %d, not %d", c.method, c.target, w.Code, c.status)
		}
		if got := strings.TrimSuffix(w.Body.String(), "\n"); c.want != "" && got != c.want {
			t.Errorf("%s %s: %s", c.method, c.target, cmp.Diff(c.want, got))
		}
		if c.status == 405 && w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow is %q", c.method, c.target, w.Header().Get("Allow"))
		}
		if strings.HasPrefix(w.Body.String(), "{") {
			if !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s %s: %v %s", c.method, c.target, w.Header(), w.Body)
			}
		}
	}
	why = "draining"
	if w := ask(h, "GET", "/readyz"); w.Code != 503 || strings.TrimSpace(w.Body.String()) != `{"error":"draining"}` {
		t.Errorf("draining: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/healthz"); w.Code != 200 {
		t.Errorf("healthz while draining: %d", w.Code)
	}
}

func TestHTTPEmpty(t *testing.T) {
	h := newMux(newMaster(), nil, func() string { return "" })
	for target, want := range map[string]string{
		"/v1/symbols":                `{"symbols":[]}`,
		"/v1/snapshot":               `{"symbols":{}}`,
		"/":                          "404 page not found",
		"/v1/snapshot?symbols=sim:A": `{"symbols":{},"unknown":["sim:A"],"error":"none of these symbols is on the board; it may appear later"}`,
	} {
		if w := ask(h, "GET", target); strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: %s", target, w.Body)
		}
	}
}

// HEAD tells the length and sends nothing, through a real connection.
func TestHTTPHead(t *testing.T) {
	srv := httptest.NewServer(newMux(boardOf("sim:A"), nil, func() string { return "" }))
	defer srv.Close()
	get, err := http.Get(srv.URL + "/v1/snapshot")
	if err != nil {
		t.Fatal(err)
	}
	get.Body.Close()
	head, err := http.Head(srv.URL + "/v1/snapshot")
	if err != nil {
		t.Fatal(err)
	}
	head.Body.Close()
	if head.StatusCode != 200 || head.ContentLength != get.ContentLength || head.ContentLength <= 0 {
		t.Fatalf("%d, %d bytes; GET has %d", head.StatusCode, head.ContentLength, get.ContentLength)
	}
}

func manySymbols(n int) (symbols []string) {
	for i := range n {
		symbols = append(symbols, fmt.Sprintf("sim:S%05d-USD", i))
	}
	return symbols
}

// A snapshot of more than one chunk has every symbol once.
func TestSnapshotChunks(t *testing.T) {
	symbols := manySymbols(3*snapshotChunk + 1)
	h := newMux(boardOf(symbols...), nil, func() string { return "" })
	for _, target := range []string{"/v1/snapshot", "/v1/snapshot?symbols=" + url.QueryEscape(strings.Join(symbols, ","))} {
		var got struct {
			Symbols map[string]struct {
				Seq int64
				Bid string
			}
		}
		if err := json.Unmarshal(ask(h, "GET", target).Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Symbols) != len(symbols) {
			t.Fatal(len(got.Symbols))
		}
		for i, symbol := range symbols {
			if q := got.Symbols[symbol]; q.Seq != int64(5+i) || q.Bid != "61837.60" {
				t.Fatalf("%s: %+v", symbol, q)
			}
		}
	}
}

func BenchmarkSnapshot10k(b *testing.B) {
	h := newMux(boardOf(manySymbols(10_000)...), nil, func() string { return "" })
	r := httptest.NewRequest("GET", "/v1/snapshot", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
