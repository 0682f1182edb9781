package main

import (
	"strings"
	"testing"
)

// A hunk with two changes does not move the next one.
func TestUnifiedDiffCountsLines(t *testing.T) {
	before := strings.Split("a b c d e f g h i j k l m n o p q r", " ")
	after := append([]string{}, before...)
	after[1], after[4], after[15] = "B", "E", "P\nP2"
	got := unifiedDiff("f", []byte(strings.Join(before, "\n")), []byte(strings.Join(after, "\n")))
	for _, head := range []string{"@@ -1,8 +1,8 @@", "@@ -13,6 +13,7 @@"} {
		if !strings.Contains(got, head) {
			t.Errorf("no %s in:\n%s", head, got)
		}
	}
}
