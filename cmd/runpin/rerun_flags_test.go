package main

import (
	"slices"
	"testing"
)

// TestRerunFlagsHaveAPlace: a flag that is in no row of the table would be taken everywhere.
func TestRerunFlagsHaveAPlace(t *testing.T) {
	var names []string
	for _, flag := range rerunFlags {
		names = append(names, flag.name)
	}
	has := flagNames(rerunCommand(&Env{}).Flags)
	slices.Sort(names)
	slices.Sort(has)
	if !slices.Equal(names, has) {
		t.Errorf("the table has\n%v\nthe command has\n%v", names, has)
	}
}
