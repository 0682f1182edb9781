package main

import (
	"errors"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
)

// readPlaces reads --at NAME=URI. A place at which no data set can be looked for is a mistake in the command line, whatever else there is to be asked.
func (w *wiring) readPlaces(c *cli.Context) (map[string]string, error) {
	at, err := keyValues("at", c.StringSlice("at"))
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(at)) {
		if err := w.locate(at[name]); err != nil {
			failure := &schema.Error{Op: "rerun.at", Kind: schema.Invalid, Subject: "--at " + name, Err: err, Hint: schema.HintOf(err)}
			if own := (*schema.Error)(nil); errors.As(err, &own) {
				failure.Err = own.Err
			}
			return nil, failure
		}
	}
	return at, nil
}
