package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
)

// list says of every peer its version, or what it lacks.
func list(dir string) []peer {
	modules := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			modules[m.Path] = strings.TrimPrefix(m.Version, "v")
		}
	}
	all := append([]peer(nil), peers...)
	for i := range all {
		p := &all[i]
		pkg, npm := strings.CutPrefix(p.Library, "npm:")
		if !npm {
			p.Version = modules[p.Library]
			continue
		}
		var about struct{ Version string }
		text, err := os.ReadFile(filepath.Join(dir, "node/node_modules", pkg, "package.json"))
		if err == nil {
			err = json.Unmarshal(text, &about)
		}
		p.Version = about.Version
		if err != nil {
			p.Missing = "npm ci in " + filepath.Join(dir, "node")
		}
		if _, err := exec.LookPath("node"); err != nil {
			p.Missing = "Node.js is not installed"
		}
	}
	return all
}

// script serves by a script of node/, which takes this process over: so its CPU time and
// memory are this process's.
func script(file string) func(context.Context, node) error {
	return func(_ context.Context, n node) error {
		exe, err := exec.LookPath("node")
		if err != nil {
			return err
		}
		args := []string{"node", filepath.Join(n.dir, "node", file), "--listen", n.listen, "--redis", n.redis}
		return syscall.Exec(exe, args, os.Environ())
	}
}
