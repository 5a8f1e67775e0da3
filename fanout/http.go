package fanout

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/tickwire/tickwire/codec"
)

// newMux is what the stream's port answers to plain HTTP. unready says why the node
// should not be sent anyone, "" when it should.
func newMux(m *master, page fs.FS, unready func() string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/symbols", func(w http.ResponseWriter, r *http.Request) {
		symbols := slices.Clone(m.list())
		slices.Sort(symbols)
		answer(w, http.StatusOK, map[string]any{"symbols": symbols})
	})
	mux.HandleFunc("GET /v1/snapshot", func(w http.ResponseWriter, r *http.Request) { snapshot(m, w, r) })
	mux.HandleFunc("GET "+streamPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "websocket")
		fail(w, http.StatusUpgradeRequired, "this is a WebSocket endpoint; offer the subprotocol "+codec.ProtocolMsgpack+" or "+codec.ProtocolJSON)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"ok": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if why := unready(); why != "" {
			fail(w, http.StatusServiceUnavailable, why)
			return
		}
		answer(w, http.StatusOK, map[string]any{"ok": true})
	})
	if page != nil {
		mux.Handle("GET /", headers(http.FileServerFS(page)))
	}
	return mux
}

// snapshot answers with the quotes asked for, or all.
func snapshot(m *master, w http.ResponseWriter, r *http.Request) {
	wanted := r.URL.Query().Get("symbols")
	out := []byte(`{"symbols":{`)
	n := 0
	put := func(row *masterRow) {
		if n++; n > 1 {
			out = append(out, ',')
		}
		name, _ := json.Marshal(row.symbol)
		out = append(append(out, name...), ':')
		out = codec.AppendQuoteJSON(out, row.update.Seq, &row.update.Quote)
	}
	var unknown []string
	if wanted == "" {
		m.each(put)
	} else {
		symbols := strings.Split(wanted, ",")
		m.mu.RLock()
		for _, symbol := range symbols {
			if id, ok := m.ids[symbol]; ok {
				put(&m.rows[id])
			} else {
				unknown = append(unknown, symbol)
			}
		}
		m.mu.RUnlock()
	}
	out = append(out, '}')
	status := http.StatusOK
	if unknown != nil {
		list, _ := json.Marshal(unknown)
		out = append(append(out, `,"unknown":`...), list...)
		if n == 0 {
			status = http.StatusNotFound
		}
	}
	reply(w, status, append(out, '}', '\n'))
}

// headers lets the page load nothing but what it came with.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; img-src 'self' data:")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache") // the next release is the next reload
		next.ServeHTTP(w, r)
	})
}

func fail(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]any{"error": text})
}

func answer(w http.ResponseWriter, status int, x any) {
	body, err := json.Marshal(x)
	if err != nil {
		panic("fanout: internal error: " + err.Error())
	}
	reply(w, status, append(body, '\n'))
}

func reply(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Access-Control-Allow-Origin", "*") // market data is for everyone
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}
