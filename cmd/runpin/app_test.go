package main

import (
	"slices"
	"strings"
	"testing"
)

// The value of --join may be left out. Any word behind it is the run, for record takes no arguments before "--".
func TestPermuteOptionalValues(t *testing.T) {
	for in, want := range map[string]string{
		"runpin record --join -- true":                         "runpin record --join=",
		"runpin record --join":                                 "runpin record --join=",
		"runpin record --join RUN -- true":                     "runpin record --join=RUN",
		"runpin record --join=RUN -- true":                     "runpin record --join=RUN",
		"runpin record --join --output m=m.pt -- true":         "runpin record --join= --output m=m.pt",
		"runpin record --output m=m.pt --join -- true":         "runpin record --output m=m.pt --join=",
		"runpin record -join RUN --json -- true":               "runpin record -join=RUN --json",
		"runpin record --join --store spool:d -- true":         "runpin --store spool:d record --join=",
		"runpin record --join RUN python train.py -- true":     "runpin record --join=RUN -- python train.py",
		"runpin record --join= RUN -- true":                    "runpin record --join= -- RUN",
		"runpin record --name --join -- true":                  "runpin record --name --join",
		"runpin show latest --json":                            "runpin show --json -- latest",
		"runpin record --join RUN --output m=m.pt -- --join x": "runpin record --join=RUN --output m=m.pt",
	} {
		app := newApp(newEnv())
		argv, _, err := permute(app, strings.Fields(in))
		if err != nil || !slices.Equal(argv, strings.Fields(want)) {
			t.Errorf("%s: %q, %v", in, argv, err)
		}
	}
}
