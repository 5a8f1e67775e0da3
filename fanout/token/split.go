package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// TokenMax bounds a token, in bytes: half of the request head that it comes in.
const TokenMax = 4096

// parts are a token taken apart, unverified.
type parts struct {
	alg, kid  string
	named     bool   // it has a kid
	signed    string // what the signature is of
	body      []byte // claims, as base64url
	signature []byte
}

// base64url is strict, so that a token has one spelling. Line breaks, which the decoder
// skips, are not of the alphabet that split asks for.
var base64url = base64.RawURLEncoding.Strict()

// split looks at a token's shape and header. Nothing of it is believed yet.
func split(raw []byte) (*parts, error) {
	if len(raw) > TokenMax {
		return nil, errTooLong
	}
	for _, b := range raw {
		if !alphabet[b] {
			return nil, errMalformed
		}
	}
	first, last := bytes.IndexByte(raw, '.'), bytes.LastIndexByte(raw, '.')
	if bytes.Count(raw, []byte{'.'}) != 2 || first == 0 || last == first+1 || last == len(raw)-1 {
		return nil, errMalformed
	}
	p := &parts{signed: string(raw[:last]), body: raw[first+1 : last]}
	header, err := base64url.AppendDecode(nil, raw[:first])
	if err != nil {
		return nil, errMalformed
	}
	if p.signature, err = base64url.AppendDecode(nil, raw[last+1:]); err != nil {
		return nil, errMalformed
	}
	return p, p.parseHeader(header)
}

func (p *parts) parseHeader(text []byte) error {
	crit := false
	err := members(text, func(name string, value json.RawMessage) error {
		to := &p.alg
		switch name {
		case "crit":
			crit = true
			return nil
		case "kid":
			to, p.named = &p.kid, true
		case "alg":
		default:
			return nil
		}
		if value[0] != '"' {
			return errHeader
		}
		return json.Unmarshal(value, to)
	})
	switch {
	case crit:
		return errCrit
	case err != nil || p.alg == "":
		return errHeader
	}
	return nil
}

// alphabet is base64url and the dot.
var alphabet = func() (in [256]bool) {
	for _, b := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") {
		in[b] = true
	}
	return in
}()
