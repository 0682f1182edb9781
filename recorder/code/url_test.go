package code

import (
	"strings"
	"testing"

	"github.com/runpin/runpin/recorder/git"
)

// TestAbsentIsNotReadOutOfAnAddress: ports and paths that look like a refusal say nothing about the commit.
func TestAbsentIsNotReadOutOfAnAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"fatal: unable to access 'http://127.0.0.1:40111/train.git/': Empty reply from server":                             false,
		"fatal: unable to access 'https://h.example.org/not found/403.git/': Could not resolve host: h.example.org":        false,
		"fatal: unable to access 'https://h.example.org/x.git/': The requested URL returned error: 403":                    false,
		"fatal: repository 'https://h.example.org/x.git/' not found":                                                       true,
		"fatal: '/srv/401.git' does not appear to be a git repository":                                                     true,
		"error: Server does not allow request for unadvertised object 4030401aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":           false,
		"fatal: remote error: upload-pack: not our ref 9fceb02d0ae598e95dc970b74767f19372d61af8":                           true,
		"fatal: unable to access 'https://h.example.org/x.git/': Failed to connect to h.example.org port 40123 after 3 ms": false,
	} {
		if got := isAbsent(&git.CallError{Text: text}); got != want {
			t.Errorf("%s: %v", text, got)
		}
		if got := isDenied(&git.CallError{Text: text}); got != strings.Contains(text, "returned error: 403") {
			t.Errorf("%s: denied: %v", text, got)
		}
	}
}
