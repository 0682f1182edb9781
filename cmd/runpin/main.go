// Command runpin records exactly what a training run used, and runs it again, exactly.
//
// This package answers one question: who is asking? One file per verb parses the command line, calls one library function and prints; app.go builds the
// command line and hardens it, env.go is the world as a verb sees it, wire.go connects the rooms, exit.go is the table of exit codes.
package main

import (
	"context"
	"os"
)

// version is set by the linker (make build).
var version = "dev"

func main() { os.Exit(run(context.Background(), os.Args, newEnv())) }
