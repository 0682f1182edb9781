// Package code answers: which code ran, can it still be had, and how is it put back? It captures a checkout as it stood, a script outside
// of a repository, or a commit of a remote (recorder.CodeResolver), and checks and restores what was captured (rerun.Code). It imports
// schema, recorder's port types, recorder/redact and recorder/git.
//
// # What the tree of a checkout is
//
// It is the tree of the commit, with every path that stands differently in the checkout replaced by what stands there: staged or not,
// tracked or not, unless ignored, excluded or debris. The id of a file is the one that git would give it, by git's own conversions
// (.gitattributes) under a neutral configuration. A file that a checkout of that object would not give back byte for byte (CRLF under
// text=auto or core.autocrlf, a filter driver of somebody's) gets the id of its very bytes instead. So an equal tree means equal files.
// Programs named by filter.<driver>.clean or smudge are never run, whoever configured them: Git LFS pointers are computed here, and any
// other filtered file is captured as it stands.
//
// Taken as the commit has them, even when edited: tracked files below an excluded path (a data set, an output, the store), and notebooks
// whose cells have changed in outputs and execution counts alone. Left out when untracked: excluded paths, debris ([Debris]), files that
// hold a secret. All of it is said in the pin's Excluded.
//
// # Who judges
//
// The git program where there is one of 2.26 or newer, else go-git with our own reading of the index and of ignore files, which hashes
// every file. Both give the same pin; where go-git cannot be trusted (filters, LFS, converting attributes, sparse checkouts, SHA-256
// ids, reftable) it refuses.
//
// Start reading at [Resolver.ResolveCode], then capture.go; the way back begins at [Resolver.RestoreCode].
package code
