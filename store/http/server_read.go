package http

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

func (s *Server) postFind(w http.ResponseWriter, r *http.Request, by bearer) error {
	var q findQuery
	if err := readJSON(http.MaxBytesReader(w, r.Body, maxQueryBytes), &q); err != nil {
		return err
	}
	find, scope := s.db.Find, store.Scope{User: string(q.User), Project: string(q.Project)}
	if by.project() != "" {
		find, scope.Project = s.db.FindInProject, by.project()
	}
	id, err := find(r.Context(), string(q.Query), scope)
	if err != nil {
		return err
	}
	return writeJSON(w, foundRun{id})
}

func (s *Server) postList(w http.ResponseWriter, r *http.Request, by bearer) error {
	var q listQuery
	if err := readJSON(http.MaxBytesReader(w, r.Body, maxQueryBytes), &q); err != nil {
		return err
	}
	f := q.filter()
	if bound := by.project(); bound != "" {
		if f.Project != "" && f.Project != bound {
			return denied(http.StatusForbidden, fmt.Sprintf("the token is for runs of project %q", bound), "use another token")
		}
		f.Project = bound
	}
	if f.Limit == 0 || f.Limit > maxPage {
		f.Limit = maxPage
	}
	runs, err := s.db.List(r.Context(), f)
	if err != nil {
		return err
	}
	if runs == nil {
		runs = []schema.Run{}
	}
	return writeJSON(w, runs)
}

// readable gives the run of a path, if the bearer may know that it exists.
func (s *Server) readable(r *http.Request, by bearer, text string) (schema.RunID, error) {
	id, err := schema.ParseRunID(text)
	if err != nil || by.project() == "" {
		return id, err
	}
	project, known, err := s.projectOf(r, id)
	if err == nil && (!known || project != by.project()) {
		err = &schema.Error{Op: "store.run", Kind: schema.NotFound, Subject: "run " + string(id), Err: errors.New("no such run"), Hint: "`runpin list` shows the runs of this project"}
	}
	return id, err
}

func (s *Server) getRun(w http.ResponseWriter, r *http.Request, by bearer) error {
	id, err := s.readable(r, by, r.PathValue("run"))
	if err != nil {
		return err
	}
	run, err := s.db.Run(r.Context(), id)
	if err != nil {
		return err
	}
	return writeJSON(w, run)
}

// getDocuments sends the documents of a run as a report.
func (s *Server) getDocuments(w http.ResponseWriter, r *http.Request, by bearer) error {
	id, err := s.readable(r, by, r.PathValue("run"))
	if err != nil {
		return err
	}
	docs, err := s.db.Encoded(r.Context(), id)
	if err != nil {
		return err
	}
	body := encodeReport(docs, nil, nil)
	w.Header().Set("Content-Type", ReportType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, err = w.Write(body)
	return err
}

// getBlob sends a blob, from an offset where Range: bytes=N- asks for that. A bearer of one project names a run of it that refers to the blob: ?run=ID.
func (s *Server) getBlob(w http.ResponseWriter, r *http.Request, by bearer) error {
	digest, err := pathDigest(r)
	if err != nil {
		return err
	}
	if by.project() != "" {
		if err := s.mayReadBlob(r, by, digest); err != nil {
			return err
		}
	}
	offset := int64(0)
	if asked := r.Header.Get("Range"); asked != "" {
		if n, err := fmt.Sscanf(asked, "bytes=%d-", &offset); n != 1 || err != nil || offset < 0 || asked != fmt.Sprintf("bytes=%d-", offset) {
			return invalid("blob "+digest.Short(), "", errors.New("of ranges, only bytes=N- is known"))
		}
	}
	content, err := s.db.OpenBlob(r.Context(), schema.BlobRef{Digest: digest})
	if err != nil {
		return err
	}
	defer content.Close()
	if offset > 0 {
		if n, err := io.CopyN(io.Discard, content, offset); err == io.EOF {
			return invalid("blob "+digest.Short(), "", fmt.Errorf("it has %d bytes only", n))
		} else if err != nil {
			return err
		}
		w.Header().Set(offsetHeader, strconv.FormatInt(offset, 10))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if offset > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	_, err = io.Copy(w, content)
	return err
}

func (s *Server) mayReadBlob(r *http.Request, by bearer, digest schema.Digest) error {
	id, err := s.readable(r, by, r.URL.Query().Get("run"))
	if err != nil {
		return err
	}
	if refers, err := s.refersTo(r, id, digest); err != nil || refers {
		return err
	}
	return &schema.Error{Op: "store.blob", Kind: schema.Gone, Subject: "blob " + digest.Short(), Err: errors.New("the run does not refer to it"), Hint: "`runpin show` the run first"}
}

func (s *Server) getStats(w http.ResponseWriter, r *http.Request, _ bearer) error {
	stats, err := s.db.Stats(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, stats)
}

func (s *Server) getCheck(w http.ResponseWriter, r *http.Request, _ bearer) error {
	report, err := s.db.Check(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, report)
}

func (s *Server) getWhoami(w http.ResponseWriter, _ *http.Request, by bearer) error {
	me := Whoami{Token: by.token.ID, Scopes: by.token.Scopes, Project: by.project(), Server: s.options.Version}
	if by.open {
		me.Scopes = []store.TokenScope{store.ScopeAppend, store.ScopeRead}
	}
	return writeJSON(w, me)
}
