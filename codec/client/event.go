package client

import (
	"fmt"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// EventKind is what happened to the connection, or to a subscription. The words are
// those of the TypeScript client's states and events.
type EventKind string

const (
	Live       EventKind = "live"       // hello came
	Connecting EventKind = "connecting" // there is no connection; Run goes on trying
	Stale      EventKind = "stale"      // as Connecting: the node fell silent
	Subscribed EventKind = "subscribed" // the node has confirmed a symbol or pattern
	Refused    EventKind = "error"      // a symbol or pattern was refused, or a whole request
	Token      EventKind = "token"      // the node took a new token; with Err, none could be had
	Lag        EventKind = "lag"        // our socket took nothing for a while: what follows is merged
	Drain      EventKind = "drain"      // the node restarts, and is about to send us away
)

// Event is what happened to the connection, or to a subscription.
type Event struct {
	Kind   EventKind
	Symbol string  // Subscribed; Refused: the symbol or pattern, "" for a whole request
	Rate   float64 // Subscribed: in effect, updates a second; 0: as they come
	// Matched counts the symbols that a pattern takes now; 1 of a symbol: Subscribed.
	Matched int
	Err     error // Connecting, Stale, Token; Refused: a *codec.Error
	// After is the time until Run tries again: Connecting, Stale, Token with Err, and
	// Refused, where 0 means that it does not. Token without: for how long the new one is
	// good. Lag: how long nothing was taken. Drain: within which time we are sent away.
	After time.Duration
	Hello *codec.Hello // Live
}

// String is the event as one line that does a terminal no harm.
func (e Event) String() string {
	text := string(e.Kind)
	switch e.Kind {
	case Live:
		text = "connected to node " + e.Hello.Node
	case Connecting, Stale:
		text = "not connected: " + e.Err.Error()
	case Subscribed:
		text = e.Symbol + ": subscribed"
		if e.Matched == 0 {
			text += "; no symbol matches so far"
		}
	case Refused:
		text = e.Err.Error()
		if e.Symbol != "" {
			text = e.Symbol + ": " + text
		}
	case Token:
		if e.Err == nil {
			return fmt.Sprintf("the node took a new token, good for %v", e.After)
		}
		text = e.Err.Error()
	case Lag:
		return fmt.Sprintf("this reader was too slow for %v: updates were merged", e.After)
	case Drain:
		return fmt.Sprintf("the node restarts within %v", e.After)
	}
	if e.After > 0 {
		text += "; again in " + e.After.Round(10*time.Millisecond).String()
	}
	return codec.Printable(text)
}
