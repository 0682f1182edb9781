// Package slurm answers one question: how is a batch script, or a command, run by Slurm, and how did it end?
//
// [Launcher] is a [launch.Batch] for recorded batch scripts and a [launch.Launcher] for commands. It drives Slurm through sbatch, squeue, sacct and scancel, which work
// wherever a user can submit a job, and follows what the job prints in its file. That takes a directory on a file system that this host and the nodes share. A node
// that does not see the directory of a command refuses to run it; one that does not see the directory of a batch script would run it elsewhere, which is told as drift.
//
// A submitted job carries the run's id in its comment, so that it is found after a submitter that was killed: squeue --me -o '%i %k'. That slurmctld is away for
// minutes ends nothing. Without accounting Slurm forgets a job some minutes after its end (MinJobAge); then nobody can say how it ended.
//
// It imports schema and rerun/launch. Start reading at slurm.go; script.go reads #SBATCH lines, plan.go and submit.go hand a script over, state.go asks for jobs,
// wait.go and output.go follow them, command.go runs a command.
package slurm
