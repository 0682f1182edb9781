//go:build unix

package mlflow

import "syscall"

// nonBlocking keeps a FIFO that lies among the files from holding the reader up.
const nonBlocking = syscall.O_NONBLOCK
