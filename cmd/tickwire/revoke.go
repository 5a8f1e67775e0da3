package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tickwire/tickwire/fanout"
)

// tokenRevokeCmd is for a token that got into wrong hands.
type tokenRevokeCmd struct {
	Redis string `default:"redis://127.0.0.1:6379" secret:"" env:"TICKWIRE_REDIS" placeholder:"URL" help:"Redis of the tape. [${default}]"`
	JTI   string `env:"TICKWIRE_REVOKE_JTI" placeholder:"NAME" help:"The token's own name, its jti."`
	Sub   string `env:"TICKWIRE_REVOKE_SUB" placeholder:"NAME" help:"Or whose: all that were issued up to now."`
}

func (c *tokenRevokeCmd) Validate() error {
	switch {
	case c.JTI == "" && c.Sub == "":
		return errors.New("name a --jti or a --sub")
	case c.JTI != "" && c.Sub != "":
		return errors.New("name either --jti or --sub, not both: revoke one, then the other")
	}
	return nil
}

func (c *tokenRevokeCmd) Run(ctx context.Context) error {
	if err := fanout.Revoke(ctx, c.Redis, c.JTI, c.Sub); err != nil {
		return err
	}
	fmt.Printf("revoked; nodes of this Redis end its connections within seconds, and take it no more for %d days\n", fanout.RevokedFor/oneDay)
	return nil
}
