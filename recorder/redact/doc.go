// Package redact answers one question: does this hold a secret?
//
// It is what keeps DESIGN §3.6: user info in URLs, known credential formats and the values of secret-named flags, variables and params never
// reach a record. What holds one is withheld as a whole (an argument, a variable, a param, a file), never edited, and never hashed: a hash of a
// guessable value confirms it. [Argv] puts a placeholder where an argument was, [Restore] is its inverse.
//
// A name is judged by its exact segments (names.go), so that --max_new_tokens, --tokenizer and --key-dim survive; a value is judged by the
// formats that issuers publish (formats.go), whatever its name. Everything runs in time linear in its input.
//
// It imports schema and the standard library. Start reading at argv.go; testdata holds the flags that must survive and the ones that must not.
package redact
