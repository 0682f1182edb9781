package lint

import (
	"fmt"
	"path/filepath"
	"strings"
)

// GitHub gives a finding as a workflow command, which GitHub Actions shows beside the line of a pull request.
func GitHub(f Finding) string {
	command := map[Severity]string{Error: "error", Warning: "warning", Note: "notice"}[f.Severity]
	properties := fmt.Sprintf("file=%s,line=%d", property(filepath.ToSlash(f.File)), max(f.Line, 1))
	if f.Column > 0 {
		properties += fmt.Sprintf(",col=%d", f.Column)
	}
	if f.EndColumn > f.Column && f.Column > 0 {
		properties += fmt.Sprintf(",endColumn=%d", f.EndColumn)
	}
	text := f.Message
	if f.Remedy != "" {
		text += "\n" + f.Remedy
	}
	return fmt.Sprintf("::%s %s,title=%s::%s", command, properties, property("runpin "+f.Rule), data(text))
}

// data and property escape as the runner reads them.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
