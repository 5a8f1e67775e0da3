package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// newMux is what the stream's port answers to plain HTTP. unready says why the node
// should not be sent anyone, "" when it should.
func newMux(m *master, page fs.FS, unready func() string) http.Handler {
	mux := http.NewServeMux()
	handleProbes(mux, unready)
	mux.HandleFunc("/v1/symbols", func(w http.ResponseWriter, r *http.Request) {
		symbols := append([]string{}, m.list()...) // [] when there is none
		slices.Sort(symbols)
		answer(w, http.StatusOK, map[string]any{"symbols": symbols})
	})
	mux.HandleFunc("/v1/snapshot", func(w http.ResponseWriter, r *http.Request) { snapshot(m, w, r) })
	mux.HandleFunc(streamPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "websocket")
		fail(w, http.StatusUpgradeRequired, "this is a WebSocket endpoint; offer the subprotocol "+codec.ProtocolMsgpack+" or "+codec.ProtocolJSON)
	})
	mux.HandleFunc("/", servePage(page))
	return onlyGet(mux)
}

// handleProbes answers whether the process runs and whether it should be sent anyone.
func handleProbes(mux *http.ServeMux, unready func() string) {
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"ok": true})
	})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if why := unready(); why != "" {
			fail(w, http.StatusServiceUnavailable, why)
			return
		}
		answer(w, http.StatusOK, map[string]any{"ok": true})
	})
}

// onlyGet refuses every method but GET and HEAD.
func onlyGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, r.Method+" is not for this; GET is")
			return
		}
		next.ServeHTTP(w, r)
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
	out := struct {
		Error   string                     `json:"error,omitempty"`
		Symbols map[string]json.RawMessage `json:"symbols"`
		Unknown []string                   `json:"unknown,omitempty"`
	}{Symbols: make(map[string]json.RawMessage, len(ids)), Unknown: unknown}
	status := http.StatusOK
	if len(unknown) > 0 && len(ids) == 0 {
		status, out.Error = http.StatusNotFound, "none of these symbols is on the board; it may appear later"
	}
	names, rows := m.list(), make([]codec.Update, 0, snapshotChunk)
	for chunk := range slices.Chunk(ids, snapshotChunk) {
		rows = rows[:0]
		m.mu.RLock()
		for _, id := range chunk {
			rows = append(rows, m.rows[id].update)
		}
		m.mu.RUnlock()
		for i := range rows {
			out.Symbols[names[rows[i].ID]] = codec.AppendQuoteJSON(nil, rows[i].Seq, &rows[i].Quote)
		}
	}
	answer(w, status, out)
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

func fail(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]any{"error": text})
}

func answer(w http.ResponseWriter, status int, x any) {
	body, err := json.Marshal(x)
	if err != nil {
		panic("fanout: internal error: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	h.Set("Access-Control-Allow-Origin", "*") // market data is for everyone
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// serve runs a server until ctx ends; answers under way have a second to end.
func serve(ctx context.Context, srv *http.Server, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
