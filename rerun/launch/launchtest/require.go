package launchtest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Require skips the test when a program is missing from PATH. RUNPIN_TEST_REQUIRE=all, or a comma list with the program's name, makes that a failure
// instead, so that no suite is passed over unseen where everything is meant to be there.
func Require(t testing.TB, programs ...string) {
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
