// Package environment answers one question: what did this node look like to the run?
//
// [Reader] fills in a [schema.Environment]: system, processor, limits, GPUs, the variables that can determine a result, the interpreter that the
// command resolves to with its installed packages, and the lock files of the checkout. [Determining] picks the variables that enter the fingerprint,
// [Class] says of each field how much a difference in it matters: must, likely or noise.
//
// Nothing is started but nvidia-smi, which is given three seconds beside everything else and whose answer is cached; Python is never run, its
// packages are read from disk. Every read is bounded; what cannot be learned is absent and a reason says why.
//
// It imports schema, the ports of recorder, recorder/redact, x/sys and the standard library. Start reading at environment.go.
package environment
