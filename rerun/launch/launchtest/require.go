package launchtest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Require skips the test when a program is missing from PATH; see [Missing].
func Require(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			Missing(t, program, "is not installed (.ci/parts installs it on Debian)")
		}
	}
}

// Missing skips the test because a part is not there, and says why. RUNPIN_TEST_REQUIRE=all, or a comma list with the part's name, makes that a failure instead, so
// that no suite is passed over unseen where everything is meant to be there.
func Missing(t testing.TB, part, why string) {
	t.Helper()
	wanted := strings.Split(os.Getenv("RUNPIN_TEST_REQUIRE"), ",")
	if slices.Contains(wanted, "all") || slices.Contains(wanted, part) {
		t.Fatalf("%s %s, and RUNPIN_TEST_REQUIRE asks for it", part, why)
	}
	t.Skipf("%s %s", part, why)
}
