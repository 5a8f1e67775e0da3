package token

import (
	"bytes"
	"encoding/json"
	"io"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Claims are what a token says. Times are seconds since the Unix epoch (RFC 7519).
type Claims struct {
	jwt.RegisteredClaims
	Grant Grant `json:"tickwire"`

	leeway time.Duration // the Verifier's
}

// subjectMax bounds sub, by which a node counts; timeMax is the end of the year 9999, beyond
// which a time is a mistake, and would overflow.
const (
	subjectMax = 256
	timeMax    = 253402300799
)

// Left is how long the claims still hold at a time: above 0 exactly as long as Verify takes
// the token, so the leeway is in it.
func (c *Claims) Left(now time.Time) time.Duration { return c.ExpiresAt.Add(c.leeway).Sub(now) }

// Validate refuses claims that no node takes, whatever the time.
func (c *Claims) Validate() error {
	switch {
	case c.ExpiresAt == nil:
		return badClaim("the claim exp is missing")
	case len(c.Subject) > subjectMax:
		return badClaim("the claim sub is longer than %d bytes", subjectMax)
	case c.Grant.Conns > 0 && c.Subject == "":
		return badClaim("the claim sub is missing, which tickwire.conns counts by")
	}
	return c.Grant.validate()
}

// parseClaims reads claims strictly: encoding/json would take "EXP" for exp, the last of two,
// and 1e300 seconds for a time long ago. Claims that are not ours may be anything.
func parseClaims(text []byte) (*Claims, error) {
	c := &Claims{}
	fields := map[string]any{
		"iss": &c.Issuer, "sub": &c.Subject, "jti": &c.ID, "aud": &c.Audience,
		"exp": &c.ExpiresAt, "nbf": &c.NotBefore, "iat": &c.IssuedAt, "tickwire": &c.Grant,
	}
	if err := members(text, func(name string, value json.RawMessage) error {
		if to := fields[name]; to != nil {
			return parseClaim(name, value, to)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Grant.arrange()
	return c, nil
}

func parseClaim(name string, value json.RawMessage, to any) error {
	switch to := to.(type) {
	case **jwt.NumericDate:
		var seconds float64
		if !number(value) || json.Unmarshal(value, &seconds) != nil || seconds < 0 || seconds > timeMax {
			return badClaim("the claim %s is not a time in seconds since 1970, as a number", name)
		}
		*to = &jwt.NumericDate{Time: time.Unix(int64(seconds), 0)}
	case *jwt.ClaimStrings:
		if one := ""; value[0] == '"' && json.Unmarshal(value, &one) == nil {
			*to = jwt.ClaimStrings{one}
		} else if value[0] != '[' || json.Unmarshal(value, (*[]string)(to)) != nil {
			return badClaim("the claim %s is neither a string nor a list of them", name)
		}
	case *Grant:
		return parseGrant(value, to)
	default:
		if value[0] != '"' || json.Unmarshal(value, to) != nil {
			return badClaim("the claim %s is not a string", name)
		}
	}
	return nil
}

// parseGrant refuses a name that it does not know: it may be a limit, misspelt or new, and
// without it more would be granted than was meant.
func parseGrant(text []byte, g *Grant) error {
	if text[0] != '{' {
		return badClaim("the claim tickwire is not an object")
	}
	fields := map[string]any{"symbols": &g.Symbols, "rate": &g.Rate, "subs": &g.Subs, "conns": &g.Conns, "newest": &g.Newest}
	return members(text, func(name string, value json.RawMessage) error {
		to := fields[name]
		if to == nil {
			return badClaim("the claim tickwire has a name that is not known; there are symbols, rate, subs, conns and newest")
		}
		if string(value) == "null" || json.Unmarshal(value, to) != nil {
			return badClaim("the claim tickwire.%s is not what it should be", name)
		}
		return nil
	})
}

func number(value []byte) bool { return value[0] == '-' || value[0] >= '0' && value[0] <= '9' }

// members gives each member of a JSON object, and refuses a name that comes twice: others
// may take the first of them for true (RFC 8725, 2.5).
func members(text []byte, each func(name string, value json.RawMessage) error) error {
	const object, twice = "the claims are not a JSON object", "the claims, or tickwire, have a name twice"
	if !utf8.Valid(text) {
		return badClaim(object)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return badClaim(object)
	}
	seen := make(map[string]bool, 8)
	for d.More() {
		t, err := d.Token()
		name, isString := t.(string)
		var value json.RawMessage
		if err != nil || !isString || d.Decode(&value) != nil {
			return badClaim(object)
		}
		if seen[name] {
			return badClaim(twice)
		}
		seen[name] = true
		if err := each(name, value); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return badClaim(object)
	}
	if _, err := d.Token(); err != io.EOF {
		return badClaim(object)
	}
	return nil
}
