package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

// The exit codes of runpin (DESIGN §5). record -- COMMAND returns COMMAND's own code, or one of the last four.
const (
	exitOK            = 0
	exitError         = 1
	exitUsage         = 2
	exitNoRun         = 10
	exitConflict      = 11
	exitUnpinnable    = 12
	exitDifferent     = 13
	exitGone          = 14
	exitUnavailable   = 15
	exitNotComparable = 16
	exitRefused       = 125
	exitCannotExecute = 126
	exitNotExecutable = 127
	exitInterrupted   = 130
)

type exitRow struct {
	code    int
	kinds   []schema.Kind
	meaning string
}

// exitTable is the one table of exit codes: errors are mapped by it, and `runpin help exit-codes` and docs/exit-codes.md are printed from it.
var exitTable = []exitRow{
	{exitOK, nil, "it worked; a rerun or comparison found the same"},
	{exitError, []schema.Kind{schema.Internal}, "an error that is none of the below: a damaged store, or a bug"},
	{exitUsage, []schema.Kind{schema.Invalid}, "the command line, a setting or a value is malformed"},
	{exitNoRun, []schema.Kind{schema.NotFound}, "no such run"},
	{exitConflict, []schema.Kind{schema.Conflict}, "conflict: an ambiguous run, something that would be written over, the same id with other content"},
	{exitUnpinnable, []schema.Kind{schema.Unpinnable}, "cannot pin: an image, commit or data set was not found, is denied, or has no immutable value"},
	{exitDifferent, []schema.Kind{schema.Different}, "differs: a rerun gave another result, or a comparison found a difference"},
	{exitGone, []schema.Kind{schema.Gone, schema.Drift}, "gone or changed: something that a run needs is no longer what was recorded"},
	{exitUnavailable, []schema.Kind{schema.Unavailable}, "unavailable but worth retrying: network, registry, a locked, full or read-only store, a run that has not ended yet"},
	{exitNotComparable, []schema.Kind{schema.NotComparable}, "not comparable: there is nothing to compare"},
	{exitRefused, nil, "record -- COMMAND: runpin itself refused, and COMMAND was not started"},
	{exitCannotExecute, nil, "record -- COMMAND: COMMAND was found and cannot be executed"},
	{exitNotExecutable, nil, "record -- COMMAND: COMMAND was not found"},
	{exitInterrupted, []schema.Kind{schema.Interrupted}, "interrupted"},
}

// exitOrder decides between several failures: 14 beats 12 beats 15 beats 13; what the caller did wrong, and an interruption, beat them all.
var exitOrder = []int{exitInterrupted, exitUsage, exitNoRun, exitConflict, exitGone, exitUnpinnable, exitUnavailable, exitDifferent, exitNotComparable, exitError}

// codedError carries an exit code of its own: 125 to 127 of record -- COMMAND.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var coded *codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	codes := map[int]bool{}
	for _, kind := range schema.Kinds(err) {
		codes[codeOfKind(kind)] = true
	}
	for _, code := range exitOrder {
		if codes[code] {
			return code
		}
	}
	return exitError
}

func codeOfKind(kind schema.Kind) int {
	for _, row := range exitTable {
		if slices.Contains(row.kinds, kind) {
			return row.code
		}
	}
	return exitError
}

// exitCodesText is the help topic, and the body of docs/exit-codes.md.
func exitCodesText() string {
	var b strings.Builder
	for _, row := range exitTable {
		fmt.Fprintf(&b, "%4d  %s\n", row.code, row.meaning)
	}
	b.WriteString("\nOf several failures, 14 beats 12 beats 15 beats 13.\n")
	return b.String()
}
