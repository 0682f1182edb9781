// Package recorder answers one question: what was used?
//
// recorder.go orchestrates: it asks one resolver for each kind of pin, in parallel, writes the plan down before the command starts, lets a
// launcher run it, looks again at the end and writes down what happened. The ports it needs are in ports.go; the rooms below
// (image, code, dataset, environment, process, release) implement them, cmd/runpin passes them in. It imports schema only.
package recorder
