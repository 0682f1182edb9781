// Package slurm answers one question: what does Slurm say of a job?
//
// sacct tells it where the cluster keeps accounts, scontrol of jobs that ended minutes ago at most. Both are asked for the time as seconds since 1970 (SLURM_TIME_FORMAT=%s):
// by themselves they print local time without saying which. Output of theirs can also be read from a file. Slurm knows nothing of images.
//
// It imports recorder/collect and what that may. Start reading at job.go; sacct.go and scontrol.go are the two forms, ask.go runs the programs.
package slurm
