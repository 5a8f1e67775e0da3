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

// version is the module's, and the commit that it was built from.
func version() string {
	version, commit := "(devel)", "unknown"
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
