//go:build !unix

package file

import (
	"testing"
	"time"
)

func makeFifo(t testing.TB, path string) { t.Skip("no fifos here") }

func processorTime(bool) time.Duration { return 0 }
