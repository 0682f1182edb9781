//go:build !urfave_cli_no_docs

package main

import "github.com/urfave/cli/v2"

// manPage is made while runpin is developed. What makes it (a parser of Markdown) is left out of the program that is built for users: the library has a tag for that.
func manPage(app *cli.App) (string, error) { return app.ToMan() }
