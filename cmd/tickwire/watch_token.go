package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tickwire/tickwire/codec"
	"github.com/tickwire/tickwire/codec/client"
)

// tokenFile is a token that something else may write anew.
type tokenFile struct {
	name string // "": there is none
	last string // what was read
}

func (f *tokenFile) read(context.Context) (string, error) {
	text, err := os.ReadFile(f.name)
	if err != nil {
		return "", err
	}
	if f.last = strings.TrimSpace(string(text)); f.last == "" {
		return "", fmt.Errorf("%s is empty", f.name)
	}
	return f.last, nil
}

// again has the next connection made with what the file has now, if that is another. A
// file that cannot be read is one that is being written.
func (f *tokenFile) again(ctx context.Context, cl *client.Client) {
	if f.name == "" {
		return
	}
	had := f.last
	if token, err := f.read(ctx); err == nil && token != had {
		cl.Auth(token)
	}
}

// advise adds to a refusal which flag helps.
func advise(err error) error {
	var final *client.FinalError
	if !errors.As(err, &final) {
		return err
	}
	switch {
	case final.Reason == "missing":
		return fmt.Errorf("%w: --token-file, or TICKWIRE_TOKEN", err)
	case final.Reason == "expired", final.Code == codec.CloseExpired:
		return fmt.Errorf("%w; a --token-file that is renewed is read again in time", err)
	}
	return err
}
