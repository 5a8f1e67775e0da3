package main

import (
	"cmp"
	"context"
	"encoding"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/tickwire/tickwire/codec/tapes"
)

// configCmd prints what a command would run with, as a file of settings would say it, and
// where it is from.
type configCmd struct {
	Command []string `arg:"" optional:"" passthrough:"" help:"Command, with its flags, as: fanout --loops 2. [up, feed and fanout, as far as --config has them]"`
}

// services are the commands that run until they are ended.
var services = []string{"up", "feed", "fanout"}

// checker is a command that can look at the files that its flags name.
type checker interface{ Check(log *slog.Logger) error }

func (c *configCmd) Run(ctx context.Context, k *kong.Context, log *slog.Logger) error {
	outer := k.Model.Target.Addr().Interface().(*commands)
	asked := [][]string{c.Command}
	if len(c.Command) == 0 {
		if asked = nil; outer.file != nil {
			for _, n := range k.Model.Children {
				if slices.Contains(services, n.Name) && outer.file.by[n] != nil {
					asked = append(asked, []string{n.Name})
				}
			}
		}
	}
	if len(asked) == 0 {
		return errors.New("config: whose? Name a command, as tickwire config fanout, or a file that has settings of up, feed or fanout, as tickwire --config FILE config")
	}
	for i, args := range asked {
		cli := commands{read: outer.read}
		k, err := cli.parser(ctx).Parse(append([]string{"--config", outer.Config}, args...))
		if err != nil {
			return err
		}
		e := effective{cli.file, k, os.Stdout}
		if i == 0 {
			e.print("", k.Path[0])
		}
		e.commands()
		if what, ok := k.Selected().Target.Addr().Interface().(checker); ok {
			if err := what.Check(log); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRedis reads a URL, and the files that it names; "" is that of up, in memory.
func checkRedis(url string) error {
	if url == "" {
		return nil
	}
	rdb, err := tapes.Open(url, tapes.Role{}) // it connects as it is used
	if err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	return rdb.Close()
}

// effective prints the settings of a command line.
type effective struct {
	file *settings // nil: none
	line *kong.Context
	out  io.Writer
}

// commands prints what is under the command.
func (e *effective) commands() {
	indent := ""
	for _, path := range e.line.Path[1:] {
		if path.Command != nil {
			fmt.Fprintf(e.out, "%s%s:\n", indent, path.Command.Name)
			indent += "  "
			e.print(indent, path)
		}
	}
}

// print prints the flags of a command: those that are not set as comments.
func (e *effective) print(indent string, of *kong.Path) {
	for _, flag := range of.Flags {
		if flag.Name == "help" || flag.Name == "config" || flag.Hidden {
			continue
		}
		if from := e.from(of, flag); from == "" && flag.Target.IsZero() {
			fmt.Fprintf(e.out, "%s# %s:\n", indent, flag.Name)
		} else {
			fmt.Fprintf(e.out, "%-40s # %s\n", indent+flag.Name+": "+valueText(flag), cmp.Or(from, "default"))
		}
	}
}

// from is where a flag's value is from; "" if nothing was said.
func (e *effective) from(of *kong.Path, flag *kong.Flag) string {
	if slices.ContainsFunc(e.line.Path, func(p *kong.Path) bool { return p.Flag == flag && !p.Resolved }) {
		return "--" + flag.Name
	}
	for _, env := range flag.Envs {
		if _, ok := os.LookupEnv(env); ok {
			return env
		}
	}
	if e.file != nil {
		if value := e.file.value(of.Node(), flag); value != nil {
			return fmt.Sprintf("%s:%d", e.file.file, value.Line)
		}
	}
	return ""
}

// valueText is a value as YAML in one line, and without what is secret.
func valueText(flag *kong.Flag) string {
	value := flag.Target.Interface()
	switch v := value.(type) {
	case encoding.TextMarshaler:
		text, _ := v.MarshalText()
		value = string(text)
	case fmt.Stringer:
		value = v.String()
	}
	if text, ok := value.(string); ok && flag.Tag.Has("secret") {
		value = redacted(text)
	}
	var n yaml.Node
	n.Encode(value)
	n.Style |= yaml.FlowStyle
	text, _ := yaml.Marshal(&n)
	return strings.TrimSpace(string(text))
}

const hidden = "xxxxx" // as url.Redacted has it

// redacted is a URL without its passwords, nor what may be one: a name that stands alone, and
// whatever an issuer's has in its query. Of anything else, as a token, nothing is left.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Scheme != "unix" {
		return hidden
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(name, "pass") || strings.HasPrefix(u.Scheme, "http") {
			query.Set(name, hidden)
		}
	}
	u.RawQuery = query.Encode()
	if _, both := u.User.Password(); u.User != nil && !both {
		u.User = url.User(hidden)
	}
	return u.Redacted()
}
