package fanout

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tickwire/tickwire/codec"
)

// newMux is what the stream's port answers to plain HTTP. unready says why the node
// should not be sent anyone, "" when it should.
func newMux(m *master, page fs.FS, unready func() string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/symbols", get(func(w http.ResponseWriter, r *http.Request) {
		symbols := append([]string{}, m.list()...) // [] when there is none
		slices.Sort(symbols)
		answer(w, http.StatusOK, map[string]any{"symbols": symbols})
	}))
	mux.Handle("/v1/snapshot", get(func(w http.ResponseWriter, r *http.Request) { snapshot(m, w, r) }))
	mux.Handle(streamPath, get(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "websocket")
		fail(w, http.StatusUpgradeRequired, "this is a WebSocket endpoint; offer the subprotocol "+codec.ProtocolMsgpack+" or "+codec.ProtocolJSON)
	}))
	mux.Handle("/healthz", get(func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"ok": true})
	}))
	mux.Handle("/readyz", get(func(w http.ResponseWriter, r *http.Request) {
		if why := unready(); why != "" {
			fail(w, http.StatusServiceUnavailable, why)
			return
		}
		answer(w, http.StatusOK, map[string]any{"ok": true})
	}))
	mux.Handle("/", get(servePage(page)))
	return mux
}

// get refuses every method but GET and HEAD.
func get(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, r.Method+" is not for this; GET is")
			return
		}
		next(w, r)
	})
}

// servePage serves the page's files, and says of all else that it is not there.
func servePage(page fs.FS) http.HandlerFunc {
	var files http.Handler
	if page != nil {
		files = http.FileServerFS(page)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		if files == nil || name != "" && !isFile(page, name) {
			fail(w, http.StatusNotFound, r.URL.Path+" is not here")
			return
		}
		h := w.Header() // the page loads nothing but what it came with
		h.Set("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws: wss:")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache") // the next release is the next reload
		files.ServeHTTP(w, r)
	}
}

func isFile(page fs.FS, name string) bool {
	info, err := fs.Stat(page, name)
	return err == nil && info.Mode().IsRegular()
}

// snapshotChunk is how many rows are copied while the tape's readers wait: 50 KB.
const snapshotChunk = 256

// snapshot answers with the quotes asked for, or all. Each quote is of one moment;
// all of them together are not.
func snapshot(m *master, w http.ResponseWriter, r *http.Request) {
	ids, unknown := wanted(m, r)
	out := make([]byte, 0, 256+512*len(ids))
	out = append(out, '{')
	status := http.StatusOK
	if len(unknown) > 0 && len(ids) == 0 {
		status = http.StatusNotFound
		out = append(out, `"error":"none of these symbols is on the board; it may appear later",`...)
	}
	out = append(out, `"symbols":{`...)
	names, rows := m.list(), make([]codec.Update, 0, snapshotChunk)
	for chunk := range slices.Chunk(ids, snapshotChunk) {
		rows = rows[:0]
		m.mu.RLock()
		for _, id := range chunk {
			rows = append(rows, m.rows[id].update)
		}
		m.mu.RUnlock()
		for i := range rows {
			out = append(appendString(out, names[rows[i].ID]), ':')
			out = append(codec.AppendQuoteJSON(out, rows[i].Seq, &rows[i].Quote), ',')
		}
	}
	if len(ids) > 0 {
		out = out[:len(out)-1]
	}
	out = append(out, '}')
	if len(unknown) > 0 {
		out = append(out, `,"unknown":[`...)
		for _, symbol := range unknown {
			out = append(appendString(out, symbol), ',')
		}
		out[len(out)-1] = ']'
	}
	reply(w, status, append(out, '}', '\n'))
}

// wanted is the rows that a request names, each once, and what is not known; all
// rows when it names none.
func wanted(m *master, r *http.Request) (ids []uint32, unknown []string) {
	asked := r.URL.Query()["symbols"]
	if len(asked) == 0 || len(asked) == 1 && asked[0] == "" {
		for id := range m.list() {
			ids = append(ids, uint32(id))
		}
		return ids, nil
	}
	seen := make(map[string]bool)
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, list := range asked {
		for symbol := range strings.SplitSeq(list, ",") {
			if seen[symbol] {
				continue
			}
			seen[symbol] = true
			if id, ok := m.ids[symbol]; ok {
				ids = append(ids, id)
			} else {
				unknown = append(unknown, symbol)
			}
		}
	}
	return ids, unknown
}

// appendString appends a JSON string; symbols need no escapes, but whoever asks may
// write anything.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			text, _ := json.Marshal(s)
			return append(dst, text...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
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
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Access-Control-Allow-Origin", "*") // market data is for everyone
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}
