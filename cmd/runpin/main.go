// Command runpin records exactly what a training run used, and runs it again, exactly.
//
// This package answers one question: who is asking? One file per verb parses the command line, calls one library function and prints; app.go builds the
// command line and hardens it, env.go is the world as a verb sees it, wire.go connects the rooms, exit.go is the table of exit codes.
package main

import (
	"context"
	"os"
	"runtime/debug"
)

// version is set by the linker (make build).
var version = "dev"

func main() {
	// A command of some milliseconds should not spend a tenth of them on collecting four megabytes; a long one is bounded as usual.
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(1 << 30)
	}
	os.Exit(run(context.Background(), os.Args, newEnv()))
}
