// Package collect answers one question: what does the runtime say that ran?
//
// A cluster knows what a submitter could only claim: which image each container really had, on which node, how often it was tried, and how it ended. Its
// sub-packages read that, kubernetes from pods and slurm from sacct and scontrol, and give it as tries ([Try]). This package turns tries into the documents of a
// run: an observation for each try, the metrics that a container left in its termination message, and where the run stands ([Collector.Report]). The runtime's word
// stands over the spec's: what it says of an image makes the pin observed, or drifts from it.
//
// The ids of these documents follow from what they say, so collecting twice, in any order, from several places, says everything once.
//
// It imports schema, recorder/process (how metrics are written) and recorder/redact (secrets). Start reading at try.go, then report.go and match.go; the words that
// runtimes have for a status are a table in words.go.
package collect
