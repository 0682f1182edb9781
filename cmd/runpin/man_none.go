//go:build urfave_cli_no_docs

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
)

func manPage(*cli.App) (string, error) {
	return "", &schema.Error{Op: "docs", Kind: schema.Invalid, Err: fmt.Errorf("this build cannot make the manual page"), Hint: "go run ./cmd/runpin docs DIR, in a clone"}
}
