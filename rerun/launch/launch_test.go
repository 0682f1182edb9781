package launch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/runpin/runpin/schema"
)

func TestStartErrorIsFound(t *testing.T) {
	inner := &schema.Error{Kind: schema.Invalid, Subject: "x", Err: errors.New("command not found"), Hint: "h"}
	err := fmt.Errorf("rerun: %w", &StartError{Code: CodeNotFound, Err: inner})
	var start *StartError
	if !errors.As(err, &start) || start.Code != 127 || start.Error() != "x: command not found" {
		t.Error(err)
	}
	if schema.KindOf(err) != schema.Invalid || schema.HintOf(err) != "h" {
		t.Error("kind and hint are lost")
	}
}

// Files are never wrapped: wrapping one would put a pipe and a copy in its place.
func TestFilesStayFiles(t *testing.T) {
	if sturdy(os.Stdout) != io.Writer(os.Stdout) || sturdy(nil) != nil || sturdy((*os.File)(nil)) != nil {
		t.Error("a file was wrapped")
	}
	other, err := os.Open(os.DevNull) // not os.Stderr: `go test -json` makes it the same as os.Stdout
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if !same(os.Stdout, os.Stdout) || same(os.Stdout, other) || same(uncomparable{}, uncomparable{}) {
		t.Error("same")
	}
}

type uncomparable struct{ f []int }

func (u uncomparable) Write(b []byte) (int, error) { return len(b) + len(u.f), nil }

func TestSturdyWriter(t *testing.T) {
	r, w := io.Pipe()
	r.CloseWithError(errors.New("nobody"))
	s := sturdy(w)
	for range 3 {
		if n, err := s.Write([]byte("abc")); n != 3 || err != nil {
			t.Error(n, err)
		}
	}
}
