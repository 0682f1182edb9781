package http

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// postReport keeps a report whole or not at all. All of its blobs are here before any of its documents can be seen.
func (s *Server) postReport(w http.ResponseWriter, r *http.Request, by bearer) error {
	size := r.ContentLength
	if size < 0 {
		return &statusError{status: http.StatusLengthRequired, err: &schema.Error{Op: "store.http", Kind: schema.Invalid, Subject: "the report", Err: errors.New("its length is not announced")}}
	}
	if size > maxReportBytes {
		return &statusError{status: http.StatusRequestEntityTooLarge, err: &schema.Error{Op: "store.http", Kind: schema.Invalid, Subject: "the report",
			Err: fmt.Errorf("%d bytes, at most %d are taken at a time", size, maxReportBytes), Hint: "send fewer documents at a time; upload large blobs before"}}
	}
	if !s.memory.take(by.String(), size) {
		return busy("the server holds as many reports as it can")
	}
	defer s.memory.give(by.String(), size)
	body := make([]byte, size)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return unavailable("the report", fmt.Errorf("it did not arrive whole: %w", err))
	}
	sent, err := decodeReport(body)
	if err != nil {
		return err
	}
	report, err := s.prepare(r, by, sent)
	if err != nil {
		return err
	}
	if err := s.batch.Save(r.Context(), report); err != nil {
		if schema.IsKind(err, schema.Invalid) && s.uploads.spoiled(by.String(), sent.uploaded) {
			return unavailable("the report", errors.New("an upload that it refers to was damaged, and is removed; nothing of the report is kept"))
		}
		return err
	}
	for _, ref := range sent.uploaded {
		s.uploads.took(by.String(), ref.Digest)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// prepare puts a report and what was uploaded for it together, and refuses what the bearer may not say.
func (s *Server) prepare(r *http.Request, by bearer, sent wireReport) (store.Prepared, error) {
	blobs := sent.blobs
	var absent []schema.Digest
	for _, ref := range sent.uploaded {
		if b, ok := s.uploads.blob(by.String(), ref); ok {
			blobs = append(blobs, b)
			continue
		}
		absent = append(absent, ref.Digest)
	}
	if len(absent) > 0 {
		missing := absent
		if by.project() == "" { // what other projects have is none of its business: it sends all itself
			var err error
			if missing, err = s.db.MissingBlobs(r.Context(), absent); err != nil {
				return store.Prepared{}, err
			}
		}
		if len(missing) > 0 {
			return store.Prepared{}, unavailable("blob "+missing[0].Short(), errors.New("it has not been uploaded, and nothing of the report is kept"))
		}
	}
	report, err := store.Prepare(sent.documents, blobs)
	if err != nil {
		return report, err
	}
	docs := report.Documents()
	if err := s.mayReport(r, by, docs); err != nil {
		return report, err
	}
	return report, s.mayRefer(r, by, docs, sent)
}

// mayReport holds a bearer to its project, and erasure to admin: it drops bytes that other runs may need.
func (s *Server) mayReport(r *http.Request, by bearer, docs []schema.Document) error {
	bound := by.project()
	inReport := map[schema.RunID]string{}
	for _, d := range docs {
		if d.Plan != nil {
			inReport[d.Run] = d.Plan.Project
		}
		if d.Kind == schema.KindErasure && !by.may(store.ScopeAdmin) {
			return denied(http.StatusForbidden, "an erasure needs the scope admin", "erase where the store lies, or use a token of that scope")
		}
	}
	if bound == "" {
		return nil
	}
	for _, d := range docs {
		project, known := inReport[d.Run]
		if d.Run == "" {
			return denied(http.StatusForbidden, "a release that no run led to is of no project", "use a token that is of no project")
		}
		if !known {
			var err error
			if project, known, err = s.projectOf(r, d.Run); err != nil {
				return err
			}
		}
		// The report that starts a run may come later than those of its ranks; nobody else can know its id before.
		if known && project != bound {
			return denied(http.StatusForbidden, fmt.Sprintf("the token is for runs of project %q", bound), "record with --project "+bound+", or use another token")
		}
	}
	return nil
}

// projectOf remembers the answer, which never changes.
func (s *Server) projectOf(r *http.Request, run schema.RunID) (project string, known bool, err error) {
	s.mu.Lock()
	project, known = s.projects[run]
	s.mu.Unlock()
	if known {
		return project, true, nil
	}
	project, known, err = s.db.ProjectOf(r.Context(), run)
	if err == nil && known {
		s.mu.Lock()
		if len(s.projects) > 100_000 {
			clear(s.projects)
		}
		s.projects[run] = project
		s.mu.Unlock()
	}
	return project, known, err
}

func (s *Server) postMissing(w http.ResponseWriter, r *http.Request, by bearer) error {
	var q missingQuery
	if err := readJSON(http.MaxBytesReader(w, r.Body, 2*maxQueryBytes), &q); err != nil {
		return err
	}
	if len(q.Blobs) > maxAsked {
		return invalid("the request", "ask for fewer at a time", fmt.Errorf("it asks for %d blobs", len(q.Blobs)))
	}
	var ask, missing []schema.Digest
	for _, b := range q.Blobs {
		if err := store.CheckBlobRef(schema.BlobRef{Kind: b.Kind, Digest: b.Digest, Bytes: b.Bytes}); err != nil {
			return err
		}
		if _, whole := s.uploads.has(by.String(), b.Digest); !whole {
			ask = append(ask, b.Digest)
		}
	}
	missing = ask
	if by.project() == "" {
		var err error
		if missing, err = s.db.MissingBlobs(r.Context(), ask); err != nil {
			return err
		}
	}
	return writeJSON(w, missingBlobs{Missing: missing})
}

// pathDigest reads the digest of a path: exactly 64 hexadecimal digits after "sha256:".
func pathDigest(r *http.Request) (schema.Digest, error) {
	digest, err := schema.ParseDigest(r.PathValue("digest"))
	if err != nil || !strings.HasPrefix(string(digest), "sha256:") {
		return "", invalid(fmt.Sprintf("blob %q", schema.Shorten(r.PathValue("digest"), 100)), "", errors.New("a blob is named by its SHA-256"))
	}
	return digest, nil
}

func (s *Server) headUpload(w http.ResponseWriter, r *http.Request, by bearer) error {
	digest, err := pathDigest(r)
	if err != nil {
		return err
	}
	release, err := s.uploads.hold(uploadName(by.String(), digest)) // a part that is still arriving changes the answer
	if err != nil {
		return err
	}
	defer release()
	offset, _ := s.uploads.has(by.String(), digest)
	w.Header().Set(offsetHeader, strconv.FormatInt(offset, 10))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// putUpload takes a part of a blob: ?kind=K, and Content-Range: bytes FIRST-LAST/TOTAL.
func (s *Server) putUpload(w http.ResponseWriter, r *http.Request, by bearer) error {
	digest, err := pathDigest(r)
	if err != nil {
		return err
	}
	var first, last, total int64
	if n, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); n != 3 || err != nil || first < 0 || last < first || r.ContentLength != last-first+1 {
		return invalid("upload of "+digest.Short(), "", errors.New("it needs Content-Range: bytes FIRST-LAST/TOTAL, and a length that fits"))
	}
	ref := schema.BlobRef{Kind: schema.BlobKind(r.URL.Query().Get("kind")), Digest: digest, Bytes: total}
	if err := store.CheckBlobRef(ref); err != nil {
		return err
	}
	have, err := s.uploads.put(by.String(), ref, first, r.ContentLength, r.Body)
	if err != nil && !errors.Is(err, errOffset) {
		return err
	}
	w.Header().Set(offsetHeader, strconv.FormatInt(have, 10))
	if err != nil {
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) // the header says where to go on
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) postBeat(w http.ResponseWriter, r *http.Request, by bearer) error {
	id, err := schema.ParseRunID(r.PathValue("run"))
	if err != nil {
		return err
	}
	var q beatQuery
	if err := readJSON(http.MaxBytesReader(w, r.Body, maxQueryBytes), &q); err != nil {
		return err
	}
	if bound := by.project(); bound != "" {
		project, known, err := s.projectOf(r, id)
		if err != nil {
			return err
		}
		if known && project != bound {
			return denied(http.StatusForbidden, fmt.Sprintf("the token is for runs of project %q", bound), "use another token")
		}
	}
	// By the clock here, which also judges what is lost: that of the client may be wrong.
	if err := s.db.Beat(r.Context(), id, schema.At(s.options.Now())); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
