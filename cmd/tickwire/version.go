package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

func (versionCmd) Run() error {
	fmt.Println("tickwire", version(), runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	return nil
}

// commit is what this was built from, where the build says so and not the checkout:
// -ldflags "-X main.commit=...".
var commit = "unknown"

// version is the module's, and the commit that it was built from.
func version() string {
	version, commit := "(devel)", commit
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	return version + " commit " + commit
}
