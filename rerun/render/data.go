package render

import (
	"fmt"
	"path"
	"strings"

	"github.com/runpin/runpin/schema"
)

// data says where one data set is read from and where it appears, or why that cannot be said.
func (p *Plan) data(run schema.Run, d schema.DatasetPin) (Data, error) {
	subject := "dataset:" + d.Name
	out := Data{Pin: d}
	if _, err := schema.ParseName(d.Name); err != nil {
		return out, err
	}
	switch {
	case d.Path == nil:
		return out, refuse(schema.Unpinnable, subject, "", "scheme %q cannot be guarded by this version", schema.Shorten(d.Scheme, 40))
	case d.ContentDigest == "" && d.FileDigest == "":
		return out, refuse(schema.Unpinnable, subject, "record it again with its content", "its record has no content digest to compare with")
	case len(d.Include)+len(d.Exclude) > 0:
		return out, refuse(schema.Unpinnable, subject, "runpin rerun RUN --execute", "it was chosen by patterns, which a shell cannot recompute")
	case d.Directory && d.DigestKind != schema.DirHash && d.DigestKind != schema.DirHashEscaped:
		return out, refuse(schema.Unpinnable, subject, "", "its kind of digest, %q, is not known", schema.Shorten(d.DigestKind, 40))
	}
	out.Target = p.target(run, *d.Path)
	if out.Target == "/" || p.traits.Image && out.Target == workspace {
		return out, refuse(schema.Invalid, subject, "", "it would cover %s", out.Target)
	}
	if p.traits.Cluster && strings.ContainsRune(out.Target, ':') {
		return out, refuse(schema.Unpinnable, subject, "render it --as shell", "Kubernetes mounts nothing at a path with a colon: %q", out.Target)
	}
	volume, hasVolume := p.Options.Volumes[d.Name]
	at, hasAt := p.Options.At[d.Name]
	switch {
	case hasVolume && hasAt:
		return out, refuse(schema.Invalid, subject, "", "give --volume or --at, not both")
	case p.traits.Cluster && !hasVolume:
		return out, refuse(schema.Unpinnable, subject, "--volume "+d.Name+"=pvc:CLAIM[/subpath] or --volume "+d.Name+"=hostPath:/DIR", "%s is a path of the recording machine; a cluster does not have it", d.URI)
	case p.traits.Cluster:
		out.Volume = volume
	case hasVolume && volume.Claim != "":
		return out, refuse(schema.Invalid, "--volume "+d.Name, "--at "+d.Name+"=/DIR", "a claim is for a cluster")
	case hasVolume:
		out.Source = volume.HostPath
	case hasAt:
		out.Source = strings.TrimPrefix(strings.TrimPrefix(at, "file:"), "//")
		if strings.Contains(at, "://") && !strings.HasPrefix(at, "file://") || !path.IsAbs(out.Source) {
			return out, refuse(schema.Invalid, "--at "+d.Name, "", "%q is not an absolute path", schema.Shorten(at, 200))
		}
	default:
		out.Source = string(d.Path.Located)
		if !path.IsAbs(out.Source) {
			return out, refuse(schema.Unpinnable, subject, "--at "+d.Name+"=/DIR", "the record does not say where it lies")
		}
	}
	return out, nil
}

// mounted is where the init step sees a data set.
func (d Data) mounted() string { return "/runpin/data/" + d.Pin.Name }

// guardScript gives the commands that recompute the whole digest of each data set. at says where one is read.
func (p *Plan) guardScript(at func(Data) string) string {
	if len(p.Data) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(guardFunctions)
	for _, d := range p.Data {
		subject := comment(d.Pin.Name)
		if d.Pin.FileDigest != "" && !d.Pin.Directory {
			exec := "-"
			if d.Pin.SidecarDigest != "" {
				exec = "x" // of a single file a sidecar can say nothing else
			}
			fmt.Fprintf(&b, "same_file %s %s %s %s\n", Quote(subject), Quote(at(d)), d.Pin.FileDigest.Hex(), exec)
			continue
		}
		kind, sidecar := "plain", "-"
		if d.Pin.DigestKind == schema.DirHashEscaped {
			kind = "escaped"
		}
		if d.Pin.SidecarDigest != "" {
			sidecar = d.Pin.SidecarDigest.Hex()
		}
		fmt.Fprintf(&b, "same_dir %s %s %s %s %s\n", Quote(subject), Quote(at(d)), d.Pin.ContentDigest.Hex(), kind, sidecar)
	}
	return b.String()
}

// guardFunctions recompute what recorder/dataset records: the manifest ("<sha256>  <path>" sorted by path) with links to files followed, and the sidecar of
// executable bits, empty directories and links to directories. What these programs cannot write down as it was recorded comes out as another digest, and
// the command does not start. sha256sum puts a backslash before a line whose name it escapes.
const guardFunctions = `changed() { printf 'runpin: dataset:%s: %s\n' "$1" "$2" >&2; exit 14; }
digest() { sha256sum | cut -c 1-64; }
tab=$(printf '\t.') && tab=${tab%.}
newline=$(printf '\n.') && newline=${newline%.}
return=$(printf '\r.') && return=${return%.}
same_file() {
  [ -f "$2" ] || changed "$1" "$2 is no file"
  [ "$(digest <"$2")" = "$3" ] || changed "$1" "$2 is not what was recorded (sha256:$3)"
  mode=-
  [ -z "$(find -L "$2" -prune -perm -100)" ] || mode=x
  [ "$mode" = "$4" ] || changed "$1" "the executable bit of $2 is not what was recorded"
}
manifest() {
  { find . -type f -exec sha256sum {} + ; find . -type l -exec test -f {} \; -exec sha256sum {} \; ; } |
    sed 's/^\(\\*[0-9a-f]*  \)\.\//\1/' | if [ "$1" = escaped ]; then sed 's/^\\//'; else sed '/^\\/{s/^\\//;s/\\\\/\\/g;}'; fi | sort -k 2
}
sidecar() {
  { find . -type f -perm -100 -exec sh -c 'for f; do printf "x\t%s\n" "${f#./}"; done' sh {} +
    find . -type l -exec test -f {} \; -exec sh -c '[ -z "$(find -L "$1" -prune -perm -100)" ] || printf "x\t%s\n" "${1#./}"' sh {} \;
    find . ! -name . -type d -exec sh -c 'for d; do [ -n "$(ls -A "$d")" ] || printf "d\t%s\n" "${d#./}"; done' sh {} +
    find . -type l -exec test -d {} \; -exec sh -c 'printf "l\t%s\t%s\n" "${1#./}" "$(readlink "$1")"' sh {} \;
  } | sort -t "$tab" -k 2,2
}
same_dir() {
  [ -d "$2" ] && cd "$2" || changed "$1" "$2 is no directory"
  [ -z "$(find . ! -type f ! -type d ! -type l)" ] || changed "$1" "$2 holds something that is no file"
  [ -z "$(find . -type l ! -exec test -f {} \; ! -exec test -d {} \; -print)" ] || changed "$1" "$2 holds a link that leads nowhere"
  if [ "$4" = plain ]; then
    [ -z "$(find . -name "*$newline*")" ] && [ -z "$(find . -name "*$return*")" ] || changed "$1" "$2 holds a name with a newline"
  fi
  [ "$(manifest "$4" | digest)" = "$3" ] || changed "$1" "$2 is not what was recorded (sha256:$3)"
  if [ "$5" = - ]; then
    [ -z "$(sidecar)" ] || changed "$1" "executable bits, empty directories or links in $2 are not what was recorded"
  else
    [ "$( { printf 'runpin.dev/sidecar/v1\n'; sidecar; } | digest)" = "$5" ] || changed "$1" "executable bits, empty directories or links in $2 are not what was recorded"
  fi
}
`
