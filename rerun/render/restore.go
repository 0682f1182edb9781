package render

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	"github.com/runpin/runpin/schema"
)

func sortedNames(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// isObject says whether id is git's name for a file of that content.
func isObject(id schema.ObjectID, content []byte) bool {
	var h hash.Hash = sha1.New()
	if len(id) == 64 {
		h = sha256.New()
	}
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil)) == string(id)
}

// codeScript gives the commands that restore the code into the directory at, a word of the shell, and prove its tree.
func (p *Plan) codeScript(at string) string {
	var b strings.Builder
	switch {
	case p.Script != nil:
		b.WriteString(changeFunctions)
		fmt.Fprintf(&b, "cd %s\n", at)
		writeFile(&b, *p.Script)
		return b.String()
	case len(p.Code) == 0:
		return ""
	}
	b.WriteString(gitFunctions)
	b.WriteString(changeFunctions)
	fmt.Fprintf(&b, "code=%s\n", at)
	for _, part := range p.Code {
		part.restore(&b)
	}
	for i := len(p.Code) - 1; i >= 0; i-- { // what an outer tree says of an inner one is the commit that the inner one stands on
		p.Code[i].prove(&b)
	}
	return b.String()
}

func (c *codePart) enter(b *strings.Builder) {
	if c.path == "" {
		b.WriteString("cd \"$code\"\n")
	} else {
		fmt.Fprintf(b, "cd \"$code\" && way %s && cd \"$code\"/%s\n", Quote(c.path+"/x"), Quote(c.path))
	}
}

func (c *codePart) restore(b *strings.Builder) {
	format := ""
	if len(c.tree) == 64 {
		format = " --object-format=sha256"
	}
	c.enter(b)
	fmt.Fprintf(b, "g init -q --template=%s .\n", format)
	if c.commit != "" {
		wanted := []schema.ObjectID{c.commit}
		if len(c.pack) > 0 {
			wanted = c.needs
		}
		for _, id := range wanted {
			fmt.Fprintf(b, "fetch %s %s\n", id, quoteAll(c.urls))
		}
		if len(c.pack) > 0 {
			b.WriteString("base64 -d <<'END' | g index-pack --stdin --fix-thin >/dev/null\n")
			writeBase64(b, c.pack)
			b.WriteString("END\n")
			fmt.Fprintf(b, "echo %s >>.git/shallow\n", c.commit)
		}
		tree := string(c.commitTree)
		if tree == "" {
			tree = "-"
		}
		fmt.Fprintf(b, "check_out %s %s\n", c.commit, tree)
	} else if c.branch != "" {
		fmt.Fprintf(b, "g symbolic-ref HEAD %s\n", Quote(c.branch))
	}
	if len(c.urls) > 0 {
		fmt.Fprintf(b, "g config remote.origin.url %s\n", Quote(c.urls[0]))
	}
	for _, f := range c.files { // removals, then files, then links: nothing is written through a link
		fmt.Fprintf(b, "gone %s\n", Quote(string(f.Path)))
	}
	for _, f := range c.files {
		if !f.Deleted && f.Mode != "120000" {
			writeFile(b, f)
		}
	}
	for _, f := range c.files {
		if !f.Deleted && f.Mode == "120000" {
			fmt.Fprintf(b, "way %s && ln -s -- %s %s\n", Quote(string(f.Path)), Quote(string(f.Target)), Quote("./"+string(f.Path)))
		}
	}
}

// prove compares the tree. It is computed twice where it has to be: of the bytes as they are, and with git's own conversions, where what the record says of a
// changed file stands for it once its bytes are proved.
func (c *codePart) prove(b *strings.Builder) {
	c.enter(b)
	commit := string(c.commit)
	if commit == "" {
		commit = "-"
	}
	fmt.Fprintf(b, "if ! same_tree raw %s %s; then\n  begin_tree %s\n", commit, c.tree, commit)
	for _, f := range c.files {
		if !f.Deleted && f.Mode != "120000" {
			filters := " --no-filters"
			if f.filtered {
				filters = ""
			}
			fmt.Fprintf(b, "  put_object %s %s %s%s\n", f.Mode, f.Object, Quote(string(f.Path)), filters)
		}
	}
	fmt.Fprintf(b, "  [ \"$(gi write-tree)\" = %s ] || drift \"the tree of the code is not the recorded %s\"\nfi\nend_tree\n", c.tree, c.tree)
}

func writeFile(b *strings.Builder, f inlineFile) {
	fmt.Fprintf(b, "file %s %s %s <<'END'\n", f.Mode[3:], f.Digest.Hex(), Quote(string(f.Path)))
	writeBase64(b, f.content)
	b.WriteString("END\n")
}

func writeBase64(b *strings.Builder, data []byte) {
	text := base64.StdEncoding.EncodeToString(data)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\n")
		text = text[76:]
	}
	if text != "" {
		b.WriteString(text + "\n")
	}
}

// changeFunctions write files within the current directory and never through a link.
const changeFunctions = `drift() { printf 'runpin: code: %s\n' "$1" >&2; exit 14; }
way() {
  rest=$1 above=.
  while :; do
    case $rest in
    */*) above=$above/${rest%%/*} rest=${rest#*/}
      if [ -L "$above" ] || { [ -e "$above" ] && [ ! -d "$above" ]; }; then drift "$1 lies behind a link or a file"; fi
      [ -d "$above" ] || mkdir -- "$above" ;;
    *) break ;;
    esac
  done
}
gone() {
  rest=$1 above=.
  while :; do
    case $rest in
    */*) above=$above/${rest%%/*} rest=${rest#*/}
      if [ -L "$above" ] || [ ! -d "$above" ]; then return 0; fi ;;
    *) break ;;
    esac
  done
  if [ -d "./$1" ] && [ ! -L "./$1" ]; then rmdir -- "./$1" 2>/dev/null || return 0; else rm -f -- "./$1"; fi
  above=$1
  while case $above in */*) ;; *) false ;; esac; do
    above=${above%/*}
    rmdir -- "./$above" 2>/dev/null || break
  done
}
file() {
  way "$3"
  if [ -e "./$3" ] || [ -L "./$3" ]; then drift "$3 is there already"; fi
  base64 -d >"./$3"
  [ "$(sha256sum <"./$3" | cut -c 1-64)" = "$2" ] || drift "$3 is not what was recorded"
  if [ "$1" = 755 ]; then chmod +x -- "./$3"; fi
}
`

// gitFunctions run git without hooks, filters or settings of anybody's; only what fetches sees the user's own, which say how to log in to a server.
const gitFunctions = `unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_NAMESPACE
export GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=file:git:http:https:ssh
plain() {
  git -c safe.directory='*' -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.attributesFile=/dev/null -c core.excludesFile=/dev/null -c core.autocrlf=false \
    -c core.eol=lf -c core.symlinks=true -c core.fileMode=true -c gc.auto=0 -c maintenance.auto=false -c submodule.recurse=false \
    -c fetch.recurseSubmodules=false -c protocol.version=2 -c filter.lfs.process= -c filter.lfs.smudge= -c filter.lfs.clean= -c filter.lfs.required=false "$@"
}
g() { GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null plain "$@"; }
gi() { GIT_INDEX_FILE=.git/proof g "$@"; }
fetch() {
  wanted=$1
  shift
  for url; do
    if plain fetch -q --no-tags --depth=1 --force -- "$url" "$wanted:refs/fetched/$wanted" || plain fetch -q --no-tags --force -- "$url" '+refs/*:refs/remote/*'; then
      if g cat-file -e "$wanted^{commit}" 2>/dev/null; then return 0; fi
    fi
  done
  printf 'runpin: code: commit %s cannot be fetched\n' "$wanted" >&2
  exit 14
}
check_out() {
  [ "$2" = - ] || [ "$(g rev-parse --verify -q "$1^{tree}")" = "$2" ] || drift "commit $1 does not have the recorded tree"
  g update-ref --no-deref HEAD "$1"
  g read-tree --reset -u "$1"
}
begin_tree() {
  rm -f .git/proof
  if [ "$1" != - ]; then gi read-tree "$1"; fi
  gi add --all --force --no-warn-embedded-repo .
}
same_tree() {
  mkdir -p .git/info
  printf '* -text -ident !eol -filter !working-tree-encoding\n' >.git/info/attributes
  begin_tree "$2"
  rm .git/info/attributes
  [ "$(gi write-tree)" = "$3" ]
}
put_object() {
  [ "$(g hash-object -w ${4-} -- "$3")" = "$2" ] || drift "$3 does not have the recorded object"
  gi update-index --add --cacheinfo "$1,$2,$3"
}
end_tree() { rm -f .git/proof; }
`
