package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// settings are what a file says.
//
//	redis: redis://10.0.0.5:6379   # of every command that has --redis
//	fanout:
//	  listen: 0.0.0.0:443          # of tickwire fanout
//
// A key is the name of a flag. The command line counts before the environment, that before
// the file, and in it what is under a command before what is above it.
type settings struct {
	file string
	by   map[*kong.Node]map[string]*yaml.Node // values by command and flag
}

const settingsMax = 1 << 20 // bytes of a file

// readText reads a file, or a pipe, for whose other end nobody waits after ctx.
func readText(ctx context.Context, file string) (text []byte, err error) {
	read := make(chan struct{})
	go func() {
		defer close(read)
		var f *os.File
		if f, err = os.Open(file); err != nil {
			return
		}
		defer f.Close()
		if text, err = io.ReadAll(io.LimitReader(f, settingsMax+1)); len(text) > settingsMax {
			err = fmt.Errorf("%s has more than %d bytes", file, settingsMax)
		}
	}()
	select {
	case <-read:
		return text, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readSettings takes a file's text, and refuses what is no command's.
func readSettings(file string, text []byte, app *kong.Application) (*settings, error) {
	s := &settings{file: file, by: make(map[*kong.Node]map[string]*yaml.Node)}
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	switch err := decoder.Decode(&doc); {
	case err == io.EOF: // empty
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	case decoder.Decode(&more) != io.EOF:
		return nil, s.wrong(&more, "a second document: take out the line above that begins it")
	}
	return s, s.section(doc.Content[0], app.Node)
}

// section takes what is said of a command, and of those below it.
func (s *settings) section(m *yaml.Node, command *kong.Node) error {
	if m.Kind != yaml.MappingNode && m.ShortTag() != "!!null" {
		return s.wrong(m, "lines as NAME: VALUE are due here, NAME being a flag without its dashes")
	}
	values := make(map[string]*yaml.Node)
	s.by[command] = values
	for i := 0; i < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if values[key.Value] != nil {
			return s.wrong(key, "%s is there twice", key.Value)
		}
		values[key.Value] = value
		below := slices.IndexFunc(command.Children, func(n *kong.Node) bool { return n.Name == key.Value })
		if below < 0 || value.Kind == yaml.ScalarNode && value.ShortTag() != "!!null" {
			if err := s.flag(key, command); err != nil {
				return err
			}
		} else if err := s.section(value, command.Children[below]); err != nil {
			return err
		}
	}
	return nil
}

// flag refuses what is no flag of a command, nor of one below it: if several have it, the
// same one, as its environment variable tells.
func (s *settings) flag(key *yaml.Node, command *kong.Node) error {
	of := make(map[string][]string) // commands, by variable
	kong.Visit(command, func(v kong.Visitable, next kong.Next) error {
		if n, ok := v.(*kong.Node); ok {
			for _, f := range n.Flags {
				if f.Name == key.Value && len(f.Envs) > 0 {
					of[f.Envs[0]] = append(of[f.Envs[0]], n.Path())
				}
			}
		}
		return next(nil)
	})
	switch {
	case command.Type == kong.ApplicationNode && key.Value == "config":
		return s.wrong(key, "config names this file: it is a flag, or TICKWIRE_CONFIG")
	case len(of) > 1:
		var each []string
		for _, commands := range of {
			each = append(each, strings.Join(commands, ", "))
		}
		slices.Sort(each)
		return s.wrong(key, "%s is one thing in %s: put it under the command that it is for", key.Value, strings.Join(each, " and another in "))
	case len(of) == 0 && slices.ContainsFunc(command.Children, func(n *kong.Node) bool { return n.Name == key.Value }):
		return s.wrong(key, "%s is a command: its settings are due in the lines below", key.Value)
	case len(of) == 0:
		return s.wrong(key, "%s has no setting %s; %[1]s --help lists what it has", command.FullPath(), key.Value)
	}
	return nil
}

// Validate is kong's: what it looks for was refused as the file was read.
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve is asked for a flag that the command line does not have.
func (s *settings) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	value := s.value(parent.Node(), flag)
	if value == nil {
		return nil, nil
	}
	text, err := s.text(value, flag)
	if err != nil {
		return nil, err
	}
	// Whoever parses it again knows no line.
	scan := kong.Scan().PushTyped(text, kong.FlagValueToken)
	if err := flag.Parse(scan, reflect.New(flag.Target.Type()).Elem()); err != nil {
		return nil, s.wrong(value, "%w", err)
	}
	return text, nil
}

// value is what the file says of a flag of a command; nil for nothing, and where the
// environment counts.
func (s *settings) value(command *kong.Node, flag *kong.Flag) *yaml.Node {
	for _, env := range flag.Envs {
		if _, ok := os.LookupEnv(env); ok {
			return nil
		}
	}
	for n := command; n != nil; n = n.Parent {
		if value := s.by[n][flag.Name]; value != nil {
			return value
		}
	}
	return nil
}

// text is a value as the command line would have it.
func (s *settings) text(value *yaml.Node, flag *kong.Flag) (string, error) {
	var parts []string
	for _, part := range value.Content {
		if part.Kind != yaml.ScalarNode {
			return "", s.wrong(part, "a list in a list: values are due here")
		}
		parts = append(parts, part.Value)
	}
	switch {
	case value.ShortTag() == "!!null":
		return "", s.wrong(value, "there is no value: give one, or leave the line out")
	case value.Kind == yaml.ScalarNode:
		return value.Value, nil
	case value.Kind == yaml.SequenceNode && flag.IsSlice():
		return kong.JoinEscaped(parts, flag.Tag.Sep), nil
	case value.Kind == yaml.MappingNode && flag.IsMap():
		var pairs []string
		for i := 0; i < len(parts); i += 2 {
			pairs = append(pairs, parts[i]+"="+parts[i+1])
		}
		return kong.JoinEscaped(pairs, flag.Tag.MapSep), nil
	}
	return "", s.wrong(value, "one value is due here")
}

// wrong is an error at a place in the file.
func (s *settings) wrong(at *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", s.file, at.Line, fmt.Errorf(format, args...))
}
