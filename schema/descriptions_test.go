package schema

// descriptions says what a field means where its name says it to a reader of the code, but not to a reader of the JSON Schema.
// An entry without a type is for that field of every type that has no entry of its own.
var descriptions = map[string]string{
	"Bytes":       "size in bytes",
	"DigestKind":  "how the content digest is made (docs/record.md)",
	"Directory":   "it is a directory; otherwise it is a single file",
	"Drift":       "what was not what it was pinned to, or changed while the run was using it",
	"Files":       "number of files",
	"Fingerprint": "of the inputs as they were known when the run was sealed; absent while it runs, and for good when an input was not resolved, withheld or drifted",
	"Images":      "container images",
	"Manifest":    "lines of digest and path, from which the content digest is made",
	"Metrics":     "named numbers, as text: every number survives, and NaN too",
	"Name":        "of what this is about",
	"Origin":      "how the value is known",
	"Outputs":     "what the run produced",
	"Rank":        "of the process, when the run has several",
	"Reason":      "one sentence",
	"Reasons":     "what is not known or not as one would expect, and why",
	"Sidecar":     "what the manifest cannot say",
	"Use":         "is it what ran?",
	"Withheld":    "what was kept out of the record because it may hold a secret",

	"SidecarDigest": "of what the manifest cannot say: links to directories, empty directories, executable bits; absent when there is nothing to say",

	"Attempt.ExitCode": "of the try", "Attempt.Finished": "end of the try", "Attempt.Node": "where it ran", "Attempt.Number": "of the try, as the scheduler counts", "Attempt.Started": "begin of the try",
	"Attempt.Reason": "why it ended, in the scheduler's words",

	"Availability.How": "what was done to find out", "Availability.Pin": "image:NAME, code:NAME or dataset:NAME; beside the pins job, launcher:WHERE, secret:NAME, output:NAME or gpu", "Availability.Advisory": "it does not keep the run from being run again", "Availability.Ref": "the reference as it was written",
	"Availability.Remedy": "one sentence: what to do about it", "Availability.State": "can it still be had?",

	"BlobRef.Bytes": "size before compression", "BlobRef.Digest": "SHA-256 of the bytes before compression", "BlobRef.Kind": "what the blob holds",

	"CPU.Model": "as the processor names itself", "CPU.Vendor": "as the processor names itself",

	"Change.Bytes": "size of the file as it stood in the checkout", "Change.Deleted": "the commit has the path and the checkout does not", "Change.Digest": "SHA-256 of the file as it stood in the checkout",
	"Change.Mode": "git's: file, executable file or symbolic link", "Change.Object": "git's blob id after clean filters", "Change.Target": "what a symbolic link points at",
	"ChangeSummary.Added": "files", "ChangeSummary.Deleted": "files", "ChangeSummary.Modified": "files",
	"Changes.Commit": "what the changes are applied to; absent before the first commit", "Changes.Tree": "of the checkout as it stood",

	"CodePin.Commit": "what was checked out", "CodePin.Detached": "no branch was checked out", "CodePin.Kind": "a git checkout, or a script without a repository", "CodePin.OnRemote": "is the commit on a remote?",
	"CodePin.Shallow": "the clone has not the whole history", "CodePin.Sparse": "not all files of the tree were checked out", "CodePin.Summary": "of the changes, for people",

	"Comparison.A": "the first run", "Comparison.B": "the second run", "Comparison.Differences": "most consequential first", "Comparison.Schema": "name of this format",
	"Comparison.SameInputs": "the inputs are known to be the same: both runs have a fingerprint and it is one",

	"DatasetPin.Exclude": "patterns of what is left out", "DatasetPin.Include": "patterns of what is taken; all when absent", "DatasetPin.Name": "of the pin", "DatasetPin.Role": "what it is to the run",
	"DatasetPin.Strength": "how far the version can be trusted",

	"Difference.A": "value of the first run", "Difference.B": "value of the second run", "Difference.Class": "how much it matters to the result", "Difference.Field": "what of the subject differs",
	"Difference.Subject": "what differs: image:NAME, code:NAME, dataset:NAME, job, command, workdir, params, variables, environment, packages, run, outputs or metrics",
	"DifferenceItem.A":   "value of the first run", "DifferenceItem.B": "value of the second run", "DifferenceItem.Change": "added, removed or changed", "DifferenceItem.Name": "path, package or label",

	"Document.At": "when the reporter wrote it", "Document.Kind": "which of the bodies it has", "Document.Reporter": "who wrote it", "Document.Schema": "name of this format",
	"Document.Observation": "body of kind observation", "Document.Output": "body of kind output", "Document.Status": "body of kind status", "Document.Label": "body of kind label",
	"Document.Note": "body of kind note", "Document.Release": "body of kind release", "Document.Keep": "body of kind keep", "Document.Erasure": "body of kind erasure",

	"Drifted.At": "when it was seen", "Drifted.Expected": "what it was pinned to", "Drifted.Found": "what it was", "Drifted.Text": "one sentence",

	"Environment.CPU": "processor", "Environment.GPUDriver": "version", "Environment.GPUs": "accelerators that the run could see", "Environment.ID": "digest that equal environments share (docs/record.md)",
	"Environment.Interpreter": "of the command", "Environment.LockFiles": "in the checkout", "Environment.MemoryBytes": "of the node", "Environment.Node": "name of the node", "Environment.OS": "operating system",
	"Environment.Ranks": "processes of the run on this node", "Environment.Variables": "environment variables that can determine the result",

	"Erasure.Blobs": "digests of what was dropped", "Erasure.By": "who asked for it", "Erasure.Reason": "why", "Erasure.Ticket": "where it is documented", "Erasure.At": "set when the run is read, from the document",

	"Exclusion.Path": "relative to the root of the code; a directory ends with /", "Exclusion.Why": "dataset, output, store, debris, notebook-output, …",

	"GPU.ComputeCapability": "as the driver says", "GPU.ECC": "mode, as the driver says", "GPU.Index": "as the driver counts", "GPU.MIG": "mode, as the driver says", "GPU.MemoryMiB": "total memory",
	"GPU.Model": "as the driver says", "GPU.PCI": "bus id", "GPU.UUID": "of the device", "GPU.VBIOS": "version",

	"ImagePin.ConfigDigest": "of the image's configuration: what registry, engine and pod share, and what the image is known by", "ImagePin.IndexDigest": "of the multi-platform index that the reference named",
	"ImagePin.PlatformDigest": "of the manifest of the one platform",

	"Interpreter.Count": "number of packages", "Interpreter.Path": "of the program", "Interpreter.Prefix": "where its packages are installed", "Interpreter.Version": "as it says",

	"JobSpec.Path": "where the spec was read", "JobSpec.Pinned": "the spec with its references replaced by what they were resolved to",

	"Keep.Digest": "of what is kept", "Keep.Pin": "image:NAME, code:NAME or dataset:NAME", "Keep.Removed": "it is protected no longer", "Keep.Where": "place of the copy or tag",
	"Keep.At": "set when the run is read, from the document",

	"LFSObject.OID": "SHA-256 of the object", "LFSObject.Path": "relative to the root of the code",
	"Label.Remove": "names of labels to drop, before any are set", "Label.Set": "labels to set",

	"Lease.Beat": "last sign of life; kept by the store", "Lease.BootID": "of the host's kernel", "Lease.Host": "name", "Lease.Interval": "seconds between signs of life", "Lease.PID": "process id",
	"Lease.PIDNamespace": "in which the process id counts",
	"LockFile.Digest":    "SHA-256 of the file", "LockFile.Path": "relative to the root of the code",

	"MetricComparison.Got": "value of the run", "MetricComparison.Result": "of this metric", "MetricComparison.Want": "value of the original",
	"Note.By": "who wrote it", "Note.Text": "the remark",
	"OS.Kernel": "release", "OS.Pretty": "name for people",

	"Observation.Attempt": "one try", "Observation.Environment": "what a node looked like; in a run as it is read, its id, node and ranks only: the whole stands in environments",
	"Observation.Launched": "what was handed to a scheduler for the run", "Run.Launched": "what was handed to a scheduler for the run, last",
	"Observation.Verdict": "how the run compares with another",

	"OnRemote.Basis": "how the answer is known: remote-tracking (may be stale) or ls-remote", "OnRemote.Ref": "a ref that has the commit", "OnRemote.Remote": "name of the remote", "OnRemote.State": "the answer",
	"Origin.At": "when it was found out", "Origin.By": "program and version, or host", "Origin.Kind": "where the knowledge comes from",

	"Output.Name":          "of the output",
	"OutputComparison.Got": "digest of the run's output", "OutputComparison.Result": "of this output", "OutputComparison.Want": "digest of the original's output",

	"Path.Base": "what rel is relative to; absolute: nothing", "Path.Located": "absolute place on the recording machine", "Path.Rel": "place relative to base", "Path.Typed": "as it was typed",

	"Plan.Code": "states of the code", "Plan.Created": "when the run was first written down", "Plan.Datasets": "data, models and checkpoints that go in", "Plan.DeclaredOutputs": "what the run is to produce",
	"Plan.Job": "the file that says how the run is started", "Plan.MetricsFile": "where the command writes metrics", "Plan.Name": "given by the user; need not be unique", "Plan.Params": "of the training, as text",
	"Plan.Parent": "workflow or sweep that the run belongs to", "Plan.Project": "given by the user", "Plan.RerunOf": "the run that this one repeats", "Plan.SubmittedFrom": "where the run was submitted from", "Plan.User": "who started it",

	"Reason.Code": "stable word for programs", "Reason.Subject": "pin, path or field", "Reason.Text": "one sentence for people",

	"Release.At": "set when the run is read, from the document", "Release.By": "who did it", "Release.Channel": "dev, staging, prod, …", "Release.Digest": "what the tags or the channel point at now",
	"Release.From": "channel that the image was promoted from", "Release.Previous": "what the channel pointed at before", "Release.Reason": "why", "Release.Tags": "tags that were attached", "Release.Ticket": "where it is documented",

	"Reporter.Host": "where it runs", "Node.Name": "of the machine", "Node.Environment": "id of the environment there",

	"Run.Attempts": "tries of the run", "Run.Environments": "one for each distinct node", "Run.Erased": "what was dropped for legal reasons", "Run.ExitCode": "of the command", "Run.Finished": "end of the run",
	"Run.ID": "of the run", "Run.Keeps": "what is protected from deletion now", "Run.Labels": "free names and values", "Run.Notes": "remarks by people", "Run.Observations": "what each reporter saw, in order",
	"Run.Releases": "moves of tags and channels that this run led to", "Run.Schema": "name of this format", "Run.Signal": "that ended the command", "Run.Started": "begin of the run",
	"Run.Status": "where the run stands; lost is decided when reading", "Run.Verdict": "the last one",

	"ScriptFile.Blob": "its content", "ScriptFile.Path": "where it stood",

	"StatusChange.ExitCode": "of the command", "StatusChange.Finished": "end of the run", "StatusChange.Lease": "of the reporter that vouches for a running run", "StatusChange.Signal": "that ended the command",
	"StatusChange.Started": "begin of the run", "StatusChange.To": "the new status", "StatusChange.Why": "one sentence",

	"Submission.Commit": "that the CI job ran for", "Submission.Host": "machine that submitted",
	"Submodule.Bundle": "commits that no remote has, as a git bundle", "Submodule.Commit": "what was checked out", "Submodule.Path": "relative to the root of the code", "Submodule.URL": "without user info",

	"Verdict.Against": "the original", "Verdict.At": "when it was given", "Verdict.Metrics": "one by one", "Verdict.Outputs": "one by one", "Verdict.Result": "of all together",
	"Withheld.Name": "what `rerun --secret NAME=@FILE` takes", "Withheld.What": "argument, variable, param, file, job-spec or url", "Withheld.Why": "one sentence",
	"Document.ID": "of the document; the base document has the run's", "Availability.Reason": "one sentence: why the state is what it is",
	"Output.Path": "where it was written", "OutputEvent.Metrics": "named numbers, as text", "OutputEvent.Outputs": "what the run produced",
}
