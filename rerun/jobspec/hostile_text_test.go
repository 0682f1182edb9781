package jobspec

import (
	"strings"
	"testing"
)

// Texts at the limit of their size, made so that careless reading would take minutes, are read within the test's patience.
func TestHostileScripts(t *testing.T) {
	n := maxScript - 1000
	for name, tc := range map[string]struct{ file, text string }{
		"one long word":        {"Dockerfile", "FROM " + strings.Repeat("a", n)},
		"many continuations":   {"Dockerfile", "FROM \\\n" + strings.Repeat(" \\\n", n/3)},
		"many here-documents":  {"Dockerfile", "FROM x:1\nRUN " + strings.Repeat("<<A ", n/4)},
		"many mounts":          {"Dockerfile", "FROM x:1\nRUN --mount=" + strings.Repeat("from=x:1,", n/9)},
		"many stages":          {"Dockerfile", strings.Repeat("FROM x:1 AS a\n", n/14)},
		"many sections":        {"a.def", "Bootstrap: docker\nFrom: x\n" + strings.Repeat("%post\n", n/6)},
		"many bootstraps":      {"a.def", strings.Repeat("Bootstrap: docker\nFrom: x\n", n/26)},
		"many signs":           {"a.sbatch", "#!/bin/sh\n" + strings.Repeat("a.sif;", n/6)},
		"many commands":        {"a.sbatch", "#!/bin/sh\n" + strings.Repeat("docker run x:1\n", n/15)},
		"many uses":            {"a.sbatch", "#!/bin/sh\nI=x:1\n" + strings.Repeat("docker run $I\n", n/14)},
		"nested arithmetic":    {"a.sbatch", "#!/bin/sh\n" + strings.Repeat("$((", 2000) + strings.Repeat("))", 2000)},
		"many words":           {"a.sbatch", "#!/bin/sh\ndocker run " + strings.Repeat("-e A=b ", n/7) + "x:1\n"},
		"docker many times":    {"a.sbatch", "#!/bin/sh\n" + strings.Repeat("docker ", n/7)},
		"files many times":     {"a.sbatch", "#!/bin/sh\n" + strings.Repeat("apptainer run a.sif\n", n/20)},
		"variables in a chain": {"a.sbatch", "#!/bin/sh\n" + strings.Repeat("A=$B\n", n/5) + "docker run $A\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Reader{ContainerImage: engineArgv}.Read(tc.file, []byte(tc.text))
			if err == nil {
				_ = s.Err()
				_ = s.Template()
			}
		})
	}
}
