package fanout

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/fanout/token"
)

const (
	pieceBytes    = 16 << 10 // some 40 quotes: 0.1 ms of encoding
	pieceTakeTime = 5 * time.Second
)

// snapshots answers with lists of the board. It holds a piece of each answer, never
// the whole: how many ask, and how slowly they read, costs no more.
type snapshots struct {
	master *master
	places chan struct{} // taken by answers of the board's size
	turn   sync.Mutex    // held to encode a piece: all snapshots have one core at most
	sorted []string      // the board's symbols, as of its length; protected by turn
}

// enter takes a place, which leave gives back; false when the client was refused.
func (s *snapshots) enter(w http.ResponseWriter) bool {
	select {
	case s.places <- struct{}{}:
		return true
	case <-time.After(snapshotWait):
		refusal{http.StatusServiceUnavailable, "", "too many snapshots are under way; try again in a second"}.serve(w)
		return false
	}
}

func (s *snapshots) leave() { <-s.places }

// symbols answers with the names of all symbols, of those that the token covers.
func (s *snapshots) symbols(w http.ResponseWriter, r *http.Request, claims *token.Claims) {
	if !s.enter(w) {
		return
	}
	defer s.leave()
	s.turn.Lock()
	if names := s.master.list(); len(s.sorted) < len(names) {
		s.sorted = slices.Sorted(slices.Values(names))
	}
	sorted := s.sorted
	s.turn.Unlock()
	if claims != nil {
		sorted = slices.DeleteFunc(slices.Clone(sorted), func(name string) bool { return !claims.Grant.Allows([]byte(name)) })
	}
	s.write(w, r, http.StatusOK, `{"symbols":[`, len(sorted), func(dst []byte, i int) []byte {
		return appendName(dst, sorted[i])
	}, "]}\n")
}

// snapshot answers with the quotes asked for, or all that the token covers. Each quote is
// of one moment; all of them together are not.
func (s *snapshots) snapshot(w http.ResponseWriter, r *http.Request, claims *token.Claims) {
	symbols, prefixes, err := asked(r.URL.RawQuery)
	if err != nil {
		refusal{http.StatusBadRequest, "", err.Error()}.serve(w)
		return
	}
	if claims != nil && r.URL.Query().Has("symbols") {
		for _, name := range slices.Concat(symbols, patterns(prefixes)) {
			if !claims.Grant.Allows([]byte(name)) {
				refusal{http.StatusForbidden, "not_allowed", name + ": " + notCovered}.serve(w)
				return
			}
		}
	}
	if len(prefixes) > 0 {
		if !s.enter(w) {
			return
		}
		defer s.leave()
	}
	ids, unknown := s.find(symbols, prefixes)
	if claims != nil {
		names := s.master.list()
		ids = slices.DeleteFunc(ids, func(id uint32) bool { return !claims.Grant.Allows([]byte(names[id])) })
	}
	status, begin, end := http.StatusOK, `{"symbols":{`, "}}\n"
	if len(unknown) > 0 {
		list, _ := json.Marshal(unknown) // strings always can be
		end = `},"unknown":` + string(list) + "}\n"
		if len(ids) == 0 {
			status, begin = http.StatusNotFound, `{"error":"none of these symbols is on the board; it may appear later","symbols":{`
		}
	}
	s.write(w, r, status, begin, len(ids), func(dst []byte, i int) []byte {
		s.master.mu.RLock()
		row := &s.master.rows[ids[i]]
		symbol, u := row.symbol, row.update
		s.master.mu.RUnlock()
		dst = append(appendName(dst, symbol), `:{"history":`...)
		dst = strconv.AppendInt(dst, u.History, 10)
		brace := len(dst)
		dst = codec.AppendQuoteJSON(dst, u.Seq, &u.Quote)
		dst[brace] = ',' // the quote goes on behind its history
		return dst
	}, end)
}

// patterns are those of prefixes.
func patterns(prefixes []string) (all []string) {
	for _, prefix := range prefixes {
		all = append(all, prefix+"*")
	}
	return all
}

// asked is what a query names: symbols, and the prefixes of patterns; that of
// everything when it names none.
func asked(query string) (symbols, prefixes []string, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, nil, fmt.Errorf("malformed query: %w", err)
	}
	if !values.Has("symbols") {
		return nil, []string{""}, nil
	}
	for _, list := range values["symbols"] {
		for name := range strings.SplitSeq(list, ",") {
			switch {
			case codec.ValidSymbol([]byte(name)):
				symbols = append(symbols, name)
			case !codec.ValidPattern([]byte(name)):
				return nil, nil, fmt.Errorf("bad symbol %q: a symbol is venue:NAME, a pattern ends in *", name)
			case len(prefixes) == patternsMax:
				return nil, nil, fmt.Errorf("at most %d patterns", patternsMax)
			default:
				prefixes = append(prefixes, name[:len(name)-1])
			}
		}
	}
	return symbols, prefixes, nil
}

// find is the rows of symbols and prefixes, each once, and the symbols that have none.
func (s *snapshots) find(symbols, prefixes []string) (ids []uint32, unknown []string) {
	seen := make(map[string]bool)
	s.master.mu.RLock()
	for _, symbol := range symbols {
		if seen[symbol] {
			continue
		}
		seen[symbol] = true
		if id, ok := s.master.ids[symbol]; ok {
			ids = append(ids, id)
		} else {
			unknown = append(unknown, symbol)
		}
	}
	s.master.mu.RUnlock()
	if len(prefixes) == 0 {
		return ids, unknown
	}
	for id, name := range s.master.list() {
		matches := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
		if slices.ContainsFunc(prefixes, matches) && !seen[name] {
			ids = append(ids, uint32(id))
		}
	}
	return ids, unknown
}

// write answers with n items between begin and end, a piece at a time. A client that
// does not take a piece within pieceTakeTime is cut off.
func (s *snapshots) write(w http.ResponseWriter, r *http.Request, status int, begin string, n int, item func(dst []byte, i int) []byte, end string) {
	beginJSON(w, status)
	if r.Method == http.MethodHead {
		return
	}
	out := http.NewResponseController(w)
	piece := append(make([]byte, 0, pieceBytes+1<<10), begin...)
	for i, done := 0, false; !done; piece = piece[:0] {
		s.turn.Lock()
		for ; i < n && len(piece) < pieceBytes; i++ {
			if i > 0 {
				piece = append(piece, ',')
			}
			piece = item(piece, i)
		}
		s.turn.Unlock()
		if done = i == n; done {
			piece = append(piece, end...)
		}
		out.SetWriteDeadline(time.Now().Add(pieceTakeTime))
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// appendName appends a symbol as a JSON string: of visible ASCII, Go's quotes are JSON's.
func appendName(dst []byte, symbol string) []byte { return strconv.AppendQuote(dst, symbol) }
