package environment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

const (
	maxPackages   = 50_000
	maxListBytes  = 6 << 20
	maxMetadata   = 8 << 10 // Name and Version stand at the beginning
	maxDirectURL  = 64 << 10
	racyPeriod    = 2 * time.Second
	packageFormat = "packages 1"
)

// packages gives the lines "<kind> <name> <version> [<source>]\n", sorted, of what is installed in the sites of py. The kind is "python" or "conda"; a name is
// normalised (PEP 503), so that one package has one spelling; a source is a URL with its commit or digest (PEP 610) or conda's build.
//
// The list is cached by what stat says of the directories: installing, removing and upgrading a package makes and removes entries in them. As in
// git's racy rule, a directory that changed less than two seconds ago is not trusted to look different after the next change.
func (r *Reader) packages(py python) ([]byte, []schema.Reason, error) {
	dirs := py.sites
	if py.conda {
		dirs = append(slices.Clone(dirs), filepath.Join(py.prefix, "conda-meta"))
	}
	now := r.now()
	state, settled := packageFormat, true
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			return nil, []schema.Reason{{Code: "no-packages", Subject: schema.Text(dir), Text: "the directory of packages cannot be read"}}, err
		}
		state += fmt.Sprintf("\n%s %s %d", dir, statID(info), info.ModTime().UnixNano())
		settled = settled && now.Sub(info.ModTime()) > racyPeriod
	}
	name := "packages-" + py.key()
	if list, ok := r.readCache(name, state); ok {
		return list, nil, nil
	}
	w := &packageList{seen: map[string]bool{}}
	for _, dir := range dirs {
		w.read(dir)
	}
	if len(w.reasons) > 0 || w.develop {
		settled = false // what could not be read may become readable, and sources under development change, without a trace here
	}
	slices.Sort(w.lines)
	list := []byte(strings.Join(w.lines, ""))
	if settled {
		r.writeCache(name, state, list)
	}
	return list, w.reasons, nil
}

type packageList struct {
	lines   []string
	bytes   int
	seen    map[string]bool
	reasons []schema.Reason
	unread  int
	develop bool // it holds packages that are described where their source is
}

func (w *packageList) read(dir string) {
	names, complete := listDir(dir, maxPackages)
	if !complete {
		w.because("not-read", dir, fmt.Sprintf("its entries cannot be read, or are more than %d", maxPackages))
	}
	slices.Sort(names)
	for _, n := range names {
		path := filepath.Join(dir, n)
		switch ext := filepath.Ext(n); {
		case ext == ".dist-info":
			w.distInfo(path)
		case ext == ".egg-info":
			base := filepath.Base(dir)
			w.develop = w.develop || base != "site-packages" && base != "dist-packages"
			w.eggInfo(path, "")
		case ext == ".egg-link":
			w.develop = true
			w.eggLink(path)
		case ext == ".egg" && isFile(filepath.Join(path, "EGG-INFO", "PKG-INFO")):
			w.metadata(filepath.Join(path, "EGG-INFO", "PKG-INFO"), n, "")
		case ext == ".json" && filepath.Base(dir) == "conda-meta":
			w.conda(strings.TrimSuffix(n, ".json"))
		}
	}
	if w.unread > 0 {
		w.because("not-read", dir, fmt.Sprintf("%d of its packages have no readable name and version", w.unread))
		w.unread = 0
	}
}

func (w *packageList) because(code, subject, text string) {
	if len(w.reasons) < 32 {
		w.reasons = append(w.reasons, schema.Reason{Code: code, Subject: schema.Text(subject), Text: text})
	}
}

// distInfo reads one installed wheel.
func (w *packageList) distInfo(dir string) {
	source := ""
	if b, err := readSmall(filepath.Join(dir, "direct_url.json"), maxDirectURL); err == nil {
		source = directURL(b)
	}
	w.metadata(filepath.Join(dir, "METADATA"), filepath.Base(dir), source)
}

// eggInfo reads what setuptools wrote: a directory with PKG-INFO, or that file itself.
func (w *packageList) eggInfo(path, source string) {
	if isDir(path) {
		w.metadata(filepath.Join(path, "PKG-INFO"), filepath.Base(path), source)
		return
	}
	w.metadata(path, filepath.Base(path), source)
}

// eggLink reads `setup.py develop`: a file that holds the directory of the source.
func (w *packageList) eggLink(path string) {
	b, err := readSmall(path, 4096)
	dir, _, _ := strings.Cut(string(b), "\n")
	dir = strings.TrimSpace(dir)
	if err != nil || !filepath.IsAbs(dir) {
		w.unread++
		return
	}
	names, _ := listDir(dir, 10_000)
	for _, n := range names {
		if strings.HasSuffix(n, ".egg-info") {
			w.eggInfo(filepath.Join(dir, n), "editable+"+fileURL(dir))
			return
		}
	}
	w.unread++
}

// metadata takes Name and Version from the headers of core metadata (PEP 566), or from the name of the directory, which is made of them.
func (w *packageList) metadata(path, dirName, source string) {
	name, version := "", ""
	if b, err := readSmall(path, maxMetadata); err == nil {
		for _, line := range strings.Split(string(b), "\n") {
			line = strings.TrimRight(line, "\r")
			if line == "" {
				break // the description follows
			}
			if v, ok := strings.CutPrefix(line, "Name:"); ok && name == "" {
				name = strings.TrimSpace(v)
			} else if v, ok := strings.CutPrefix(line, "Version:"); ok && version == "" {
				version = strings.TrimSpace(v)
			}
			if name != "" && version != "" {
				break
			}
		}
	}
	if name == "" || version == "" {
		stem := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(dirName, ".dist-info"), ".egg-info"), ".egg")
		parts := strings.Split(stem, "-")
		if len(parts) < 2 {
			w.unread++
			return
		}
		name, version = parts[0], parts[1]
	}
	w.add("python", normalName(name), version, source)
}

// conda: the name of the file is name-version-build; the file itself lists every path of the package and can have megabytes.
func (w *packageList) conda(stem string) {
	parts := strings.Split(stem, "-")
	if len(parts) < 3 {
		w.unread++
		return
	}
	n := len(parts)
	w.add("conda", strings.Join(parts[:n-2], "-"), parts[n-2], parts[n-1])
}

func (w *packageList) add(kind, name, version, source string) {
	if !isWord(name) || !isWord(version) || source != "" && !isWord(source) {
		w.unread++
		return
	}
	line := kind + " " + name + " " + version
	if source != "" {
		line += " " + source
	}
	line += "\n"
	// The first directory that has a package is the one it is imported from; one that a later directory has too is shadowed and said as well.
	if w.seen[line] {
		return
	}
	if w.bytes += len(line); w.bytes > maxListBytes || len(w.lines) >= maxPackages {
		w.unread++
		return
	}
	w.seen[line] = true
	w.lines = append(w.lines, line)
}

// isWord: not empty, UTF-8, without spaces and control characters, so that a line can be taken apart again.
func isWord(s string) bool {
	return s != "" && len(s) <= 4096 && utf8.ValidString(s) && strings.IndexFunc(s, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }) < 0
}

// normalName: lower case, runs of -, _ and . as one - (PEP 503).
func normalName(name string) string {
	var b strings.Builder
	dash := false
	for _, c := range strings.ToLower(name) {
		if c == '-' || c == '_' || c == '.' {
			dash = true
			continue
		}
		if dash && b.Len() > 0 {
			b.WriteByte('-')
		}
		dash = false
		b.WriteRune(c)
	}
	return b.String()
}

// directURL makes a source of direct_url.json (PEP 610): git+URL@COMMIT, URL#sha256=…, file:///…, editable+file:///…; without credentials.
func directURL(b []byte) string {
	var d struct {
		URL string `json:"url"`
		VCS *struct {
			VCS      string `json:"vcs"`
			CommitID string `json:"commit_id"`
		} `json:"vcs_info"`
		Archive *struct {
			Hash   string            `json:"hash"`
			Hashes map[string]string `json:"hashes"`
		} `json:"archive_info"`
		Dir *struct {
			Editable bool `json:"editable"`
		} `json:"dir_info"`
		Subdirectory string `json:"subdirectory"`
	}
	if json.Unmarshal(b, &d) != nil || d.URL == "" {
		return ""
	}
	source, _ := redact.URL(d.URL)
	switch {
	case d.VCS != nil:
		source = d.VCS.VCS + "+" + source + "@" + d.VCS.CommitID
	case d.Archive != nil:
		if sum := d.Archive.Hashes["sha256"]; sum != "" {
			source += "#sha256=" + sum
		} else if d.Archive.Hash != "" {
			source += "#" + d.Archive.Hash
		}
	case d.Dir != nil && d.Dir.Editable:
		source = "editable+" + source
	}
	if d.Subdirectory != "" {
		source += "#subdirectory=" + d.Subdirectory
	}
	return string(bytes.ReplaceAll([]byte(source), []byte(" "), []byte("%20")))
}

func fileURL(dir string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String()
}
