package jobspec

import (
	"strings"
	"testing"
)

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"r.example/a:1":                                   "r.example/a:1",
		"r.example:5000/a:1@sha256:abc":                   "r.example:5000/a:1@sha256:abc",
		"azureml:env@latest":                              "azureml:env@latest",
		"a:1@sha256:abc":                                  "a:1@sha256:abc",
		"https://bot:hunter2@r.example/a:1":               "https://r.example/a:1",
		"https://hunter2@r.example/a":                     "https://r.example/a",
		"https://bot:hun/ter2@r.example/a":                "https://r.example/a",
		"https://bot:9?ter2@r.example/a":                  "https://bot:9?ter2@r.example/a", // cannot be told from a port
		"git+https://bot:hunter2@r.example/o/r.git@main":  "git+https://r.example/o/r.git@main",
		"https://r.example:8443/o/r.git@main":             "https://r.example:8443/o/r.git@main",
		"ssh://git@r.example/o/r":                         "ssh://git@r.example/o/r",
		"ssh://git:hunter2@r.example/o/r":                 "ssh://git@r.example/o/r",
		"git@github.com:o/r":                              "git@github.com:o/r",
		"bot:hunter2@r.example/a:1":                       "r.example/a:1",
		"r.example/a:1?token=hunter2":                     "r.example/a:1?token=…",
		"https://r.example/o/r?ref=v1&sig=hunter2":        "https://r.example/o/r?ref=v1&sig=…",
		"s3://b/k?versionId=3":                            "s3://b/k?versionId=3",
		"${IMAGE:?is missing}":                            "${IMAGE:?is missing}",
		`{{ required "x" .Values.image }}`:                `{{ required "x" .Values.image }}`,
		"FROM https://a:hunter2@x/y https://b:hunter2@x/": "FROM https://x/y https://x/",
	} {
		if got := Shown(in); got != want {
			t.Errorf("Shown(%q) = %q, want %q", in, got, want)
		}
	}
}

// A problem quotes what is written, and what is written may hold a credential.
func TestProblemsHoldNoCredentials(t *testing.T) {
	for _, image := range []string{
		"https://bot:hunter2@r.example/a:1", "bot:hunter2@r.example/a:1", "https://hunter2@r.example/a", "r.example/a:1?token=hunter2", "docker://bot:hunter2@r.example/a", "https://bot:hunter2@{{ .host }}/a",
	} {
		for file, data := range map[string]string{
			"pod.yaml":     podHead + "  - image: '" + image + "'\n    name: a\n",
			"Dockerfile":   "FROM " + image + "\n",
			"a.def":        "Bootstrap: docker\nFrom: " + image + "\n",
			"train.sbatch": "#!/bin/sh\n#SBATCH -n 1\nsrun --container-image=" + image + " true\n",
			"run.sh":       "#!/bin/sh\ndocker run " + image + " true\n",
		} {
			spec, err := Read(file, []byte(data))
			if err == nil {
				err = spec.Err()
				for _, p := range spec.Problems {
					if strings.Contains(p.Value+p.Reason, "hunter2") {
						t.Errorf("%s: %q: the problem holds the password: %+v", file, image, p)
					}
				}
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %q: the error holds the password: %v", file, image, err)
			}
		}
	}
}
