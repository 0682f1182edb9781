package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store/sqlite"
)

// storeLocation gives where runs are kept, and which setting said so.
func storeLocation(env *Env, c *cli.Context) (location, source string, err error) {
	location = c.String("store")
	source = "--store"
	if location == "" {
		location, source = env.Getenv("RUNPIN_STORE"), "RUNPIN_STORE"
	}
	if location == "" {
		dir := env.dataDir()
		if dir == "" {
			return "", "", usageError("name one: --store PATH, or set HOME", "there is no home directory for the default store")
		}
		return filepath.Join(dir, "runpin.db"), "default", nil
	}
	location, err = kindOfStore(location).locate(location)
	return location, source, err
}

// storeDirs are the files of the store, which are never part of the code.
func storeDirs(location string) []string {
	if files := kindOfStore(location).files; files != nil {
		return files(location)
	}
	return nil
}

// requireDurable refuses a store that does not outlive the machine, or warns about a default one.
func (w *wiring) requireDurable(required []string) error {
	wanted := slices.ContainsFunc(required, func(r string) bool { return strings.Contains(r, "durable") })
	if wanted {
		w.store.fallback = w.store.fallback.durable()
	}
	if strings.Contains(w.location, "://") {
		return nil // it lies elsewhere
	}
	path := strings.TrimPrefix(w.location, "spool:")
	fsName, ephemeral := sqlite.OnEphemeral(path)
	if !ephemeral {
		return nil
	}
	if wanted {
		return &schema.Error{Op: "record.require", Kind: schema.Unpinnable, Subject: w.location, Err: fmt.Errorf("the store is on a file system that may vanish with the machine (%s)", fsName),
			Hint: "name another store with --store"}
	}
	if w.env.submission() != nil {
		w.env.warn("the store %s is on a file system that may vanish with the machine (%s)", w.location, fsName)
	}
	return nil
}

// warnAboutPlan tells a person what the record will say, where it is less than they may think.
func (w *wiring) warnAboutPlan(run schema.Run) {
	for _, i := range run.Images {
		if i.Use == schema.Claimed && len(run.Command) > 0 && i.Name != "hidden" {
			w.env.warn("image %s is only claimed: the command runs on this machine; use --in podman to run in it", i.Ref)
		}
		if i.Local {
			w.env.warn("image %s is in no registry: the run cannot be rerun elsewhere until it is pushed", i.Ref)
		}
	}
	for _, c := range run.Code {
		for _, r := range c.Reasons {
			if r.Code == "withheld" {
				w.env.warn("%s: %s", r.Subject, r.Text)
			}
		}
	}
	for _, i := range run.Images {
		for _, r := range i.Reasons {
			if r.Code == "unpinned-container" {
				w.env.warn("%s", r.Text)
			}
		}
	}
	for _, wh := range run.Withheld {
		w.env.warn("%s %s is withheld from the record: %s", wh.What, wh.Name, wh.Why)
	}
	for _, r := range run.Reasons {
		w.env.warn("%s: %s", r.Code, r.Text)
	}
}
