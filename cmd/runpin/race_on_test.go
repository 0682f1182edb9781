//go:build race

package main

// raceDetector slows programs down some ten times: the largest fixtures are smaller with it.
const raceDetector = true
