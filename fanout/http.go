package fanout

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// newMux is what the stream's port answers to plain HTTP: GET and HEAD. unready says
// why the node should not be sent anyone, "" when it should.
func newMux(m *master, page fs.FS, unready func() string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"ok": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if why := unready(); why != "" {
			writeError(w, http.StatusServiceUnavailable, why)
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"ok": true})
	})
	mux.HandleFunc("GET /v1/symbols", func(w http.ResponseWriter, r *http.Request) {
		symbols := append([]string{}, m.list()...) // [] when there is none
		slices.Sort(symbols)
		writeJSON(w, http.StatusOK, map[string]any{"symbols": symbols})
	})
	mux.Handle("GET /v1/snapshot", &snapshots{master: m})
	mux.HandleFunc("GET "+streamPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "websocket")
		writeError(w, http.StatusUpgradeRequired, "this is a WebSocket endpoint; offer the subprotocol "+codec.ProtocolMsgpack+" or "+codec.ProtocolJSON)
	})
	if page != nil {
		files := http.FileServerFS(page)
		mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
			h := w.Header() // the page loads nothing but what it came with
			h.Set("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws: wss:")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "no-cache") // the next release is the next reload
			files.ServeHTTP(w, r)
		})
	}
	return mux
}

const (
	snapshotChunk = 256         // rows copied while the tape's readers wait: 50 KB
	snapshotAge   = time.Second // of the whole board, for which all who ask share it
	// snapshotsMax bounds the answers under way: a reader that stands still keeps one
	// for the server's write timeout, so that 30 whole boards are in memory at most.
	snapshotsMax = 64
)

// snapshots answers /v1/snapshot.
type snapshots struct {
	master *master

	mu    sync.Mutex // protects what follows, held while a board is encoded
	open  int
	board []byte // the answer with all symbols; nobody changes it
	at    time.Time
}

func (s *snapshots) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	var asked []string
	for _, list := range query["symbols"] {
		asked = append(asked, strings.FieldsFunc(list, func(r rune) bool { return r == ',' })...)
	}
	status, body := s.begin(asked)
	if body == nil {
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusServiceUnavailable, "too many snapshots are under way")
		return
	}
	defer func() {
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
	}()
	write(w, status, body)
}

// begin takes a place and returns the answer; nil when there is no place.
func (s *snapshots) begin(asked []string) (status int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == snapshotsMax {
		return 0, nil
	}
	s.open++
	if len(asked) > 0 {
		return s.master.snapshot(asked)
	}
	if time.Since(s.at) > snapshotAge {
		names := slices.Clone(s.master.list())
		slices.Sort(names)
		_, s.board = s.master.snapshot(names)
		s.at = time.Now()
	}
	return http.StatusOK, s.board
}

// snapshot encodes the quotes of these symbols, each once. Each quote is of one
// moment; all of them together are not.
func (m *master) snapshot(asked []string) (status int, body []byte) {
	body = append(body, `{"symbols":{`...)
	unknown := []string{}
	seen := make(map[string]bool, len(asked))
	rows := make([]codec.Update, 0, snapshotChunk)
	for chunk := range slices.Chunk(asked, snapshotChunk) {
		rows = rows[:0]
		m.mu.RLock()
		for _, symbol := range chunk {
			if seen[symbol] {
				continue
			}
			seen[symbol] = true
			if id, known := m.ids[symbol]; known {
				rows = append(rows, m.rows[id].update)
			} else {
				unknown = append(unknown, symbol)
			}
		}
		m.mu.RUnlock()
		names := m.list()
		for i := range rows {
			if body[len(body)-1] == '}' {
				body = append(body, ',')
			}
			body = append(strconv.AppendQuote(body, names[rows[i].ID]), ':')
			body = codec.AppendQuoteJSON(body, rows[i].Seq, &rows[i].Quote)
		}
	}
	body = append(body, '}')
	status = http.StatusOK
	if len(unknown) > 0 {
		body = append(append(body, `,"unknown":`...), marshal(unknown)...)
		if len(unknown) == len(seen) {
			status = http.StatusNotFound
			body = append(body, `,"error":"none of these symbols is on the board; it may appear later"`...)
		}
	}
	return status, append(body, "}\n"...)
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]any{"error": text})
}

func writeJSON(w http.ResponseWriter, status int, x any) {
	write(w, status, append(marshal(x), '\n'))
}

func marshal(x any) []byte {
	text, err := json.Marshal(x)
	if err != nil {
		panic("fanout: internal error: " + err.Error())
	}
	return text
}

// write sends a body of JSON.
func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Access-Control-Allow-Origin", "*") // market data is for everyone
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}
