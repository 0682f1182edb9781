// Package launchtest answers one question: does a place to run keep what [launch.Launcher] and [launch.Batch] promise?
//
// [Launcher] and [Batch] are the two suites; a place gives each a harness that says how it is reached and in what it must differ. A behaviour that two places have is
// tested here; what only one has, beside it.
package launchtest
