package main

import (
	"testing"

	"github.com/runpin/runpin/rerun/launch/launchtest"
)

// The real parts that end-to-end tests run against (.ci/parts installs them): programs of others, each started on a loopback port
// or in a temporary directory of its own, and stopped when the test ends. This file decides whether a part is there; parts_<part>_test.go
// hold the registry, the containers, the image and the git remote, each with the test that shows it does what it says.

// requirePart skips the test when a program is missing from PATH. RUNPIN_TEST_REQUIRE=all, or a comma list with the program's name,
// makes that a failure instead: CI sets it, so that no suite is passed over there unseen.
func requirePart(t testing.TB, programs ...string) {
	t.Helper()
	launchtest.Require(t, programs...)
}
