// Package rerun answers one question: how is it run again?
//
// From a [schema.Run] it makes the pinned spec, finds out beforehand whether everything the run needs can still be had (preflight), restores it,
// has it launched and recorded, and compares the outcome with the original (verdict). Its ports are in ports.go; jobspec finds and pins
// references in job specs, launch starts commands in the places where they can run, render writes a run down for a place without runpin. It imports schema only.
package rerun
