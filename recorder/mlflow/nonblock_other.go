//go:build !unix

package mlflow

// nonBlocking: there are no FIFOs among files here.
const nonBlocking = 0
