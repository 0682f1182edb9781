// Package git answers: what does a git repository say, without changing it and without running anything of its choosing? It is the one
// git client that several rooms share. It imports schema and go-git, knows nothing of pins, and starts the git program only through
// [Program], which neutralises its configuration.
//
// Nothing that a repository's own configuration names is ever executed. The git program never reads that configuration: it works on a
// [Scratch], a temporary git directory of ours that borrows the repository's objects (alternates) and reads its index, with the checkout
// as its work tree. So no fsmonitor, hook, external diff, textconv or clean filter of anybody runs, the user's .git is not written to
// (not even the index is refreshed), and core.autocrlf, diff.noprefix and the like cannot change what is seen. What a repository
// declares for its files (.gitignore, .gitattributes, info/exclude, the user's core.excludesFile) is honoured.
//
// Start reading at [Open] (where is the repository?), then [Scratch] (what does git say of it?), [ReadIndex] and [RewriteTree].
package git
