package fanout

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
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

// plain is what a node without tokens answers plain HTTP by.
func plain(m *master, page fs.FS) *shared { return &shared{cfg: &Config{Page: page}, master: m} }

func TestHTTP(t *testing.T) {
	page := fstest.MapFS{
		"index.html": {Data: []byte("<!doctype html>board")},
		"app/x.js":   {Data: []byte("export {}")},
	}
	why := ""
	h := newMux(plain(boardOf("sim:B", "sim:A"), page), func() string { return why })
	quote := func(seq int) string {
		return fmt.Sprintf(`{"history":1000,"seq":%d,"bid":"61837.60","trades":7,"status":"live","price_scale":2}`, seq)
	}
	const none = "none of these symbols is on the board; it may appear later"
	for _, c := range []struct {
		method, target string
		status         int
		want           string
	}{
		{"GET", "/v1/symbols", 200, `{"symbols":["sim:A","sim:B"]}`},
		{"GET", "/v1/snapshot", 200, `{"symbols":{"sim:B":` + quote(5) + `,"sim:A":` + quote(6) + `}}`},
		{"GET", "/v1/snapshot?x=1", 200, `{"symbols":{"sim:B":` + quote(5) + `,"sim:A":` + quote(6) + `}}`},
		{"GET", "/v1/snapshot?symbols=sim:A", 200, `{"symbols":{"sim:A":` + quote(6) + `}}`},
		{"GET", "/v1/snapshot?symbols=sim:A,sim:A&symbols=sim:B", 200, `{"symbols":{"sim:A":` + quote(6) + `,"sim:B":` + quote(5) + `}}`},
		{"GET", "/v1/snapshot?symbols=sim:A,sim:C", 200, `{"symbols":{"sim:A":` + quote(6) + `},"unknown":["sim:C"]}`},
		{"GET", "/v1/snapshot?symbols=sim:A*,*,sim:A", 200, `{"symbols":{"sim:A":` + quote(6) + `,"sim:B":` + quote(5) + `}}`},
		{"GET", "/v1/snapshot?symbols=x:*,sim:C,sim:%22", 404, `{"error":"` + none + `","symbols":{},"unknown":["sim:C","sim:\""]}`},
		{"GET", "/v1/snapshot?symbols=sim:A,%00%C3%A9", 400, `{"error":"bad symbol \"\\x00é\": a symbol is venue:NAME, a pattern ends in *"}`},
		{"GET", "/v1/snapshot?symbols=&symbols=sim:A", 400, ""},
		{"GET", "/v1/snapshot?symbols=sim:A;x", 400, ""},
		{"GET", "/v1/snapshot?;symbols=sim:A", 400, ""},
		{"GET", "/v1/snapshot?symbols=*" + strings.Repeat(",*", patternsMax), 400, `{"error":"at most 16 patterns"}`},
		{"POST", "/v1/snapshot", 405, `{"error":"POST is not answered here; use GET"}`},
		{"DELETE", "/nothing", 405, `{"error":"DELETE is not answered here; use GET"}`},
		{"GET", "/healthz", 200, `{"ok":true}`},
		{"GET", "/readyz", 200, `{"ok":true}`},
		{"GET", "/v1/nothing", 404, `{"error":"/v1/nothing is not here"}`},
		{"GET", "/app", 404, `{"error":"/app is not here"}`},
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
		if h := w.Header(); h.Get("Connection") != "close" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %v", c.method, c.target, h)
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
	h := newMux(plain(newMaster(), nil), func() string { return "" })
	for target, want := range map[string]string{
		"/v1/symbols":                `{"symbols":[]}`,
		"/v1/snapshot":               `{"symbols":{}}`,
		"/":                          `{"error":"/ is not here"}`,
		"/v1/snapshot?symbols=sim:A": `{"error":"none of these symbols is on the board; it may appear later","symbols":{},"unknown":["sim:A"]}`,
	} {
		if w := ask(h, "GET", target); strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: %s", target, w.Body)
		}
	}
}

func manySymbols(n int) (symbols []string) {
	for i := range n {
		symbols = append(symbols, fmt.Sprintf("sim:S%05d-USD", i))
	}
	return symbols
}
