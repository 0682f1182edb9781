package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The real parts that end-to-end tests run against (.ci/parts installs them): programs of others, each started on a loopback port
// or in a temporary directory of its own, and stopped when the test ends. This file decides whether a part is there; parts_<part>_test.go
// hold the registry, the containers, the image and the git remote, each with the test that shows it does what it says.

// requirePart skips the test when a program is missing from PATH. RUNPIN_TEST_REQUIRE=all, or a comma list with the program's name,
// makes that a failure instead: CI sets it, so that no suite is passed over there unseen.
func requirePart(t testing.TB, programs ...string) {
	t.Helper()
	wanted := strings.Split(os.Getenv("RUNPIN_TEST_REQUIRE"), ",")
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if slices.Contains(wanted, "all") || slices.Contains(wanted, program) {
			t.Fatalf("%s is not installed, and RUNPIN_TEST_REQUIRE asks for it: run .ci/parts", program)
		}
		t.Skipf("%s is not installed (.ci/parts installs it on Debian)", program)
	}
}
