//go:build !unix

package slurm

import "fmt"

const nonBlocking = 0

func signalName(n int) string { return fmt.Sprintf("SIG%d", n) }
