package http

import (
	"errors"
	"net/http"
	"slices"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

// mayRefer holds a bearer of one project to blobs that it sent or that a run of the project refers to. Whoever may name a blob may read it, so
// naming another project's would be a way to read it.
func (s *Server) mayRefer(r *http.Request, by bearer, docs []schema.Document, sent wireReport) error {
	if by.project() == "" {
		return nil
	}
	own := map[schema.Digest]bool{}
	for _, b := range sent.blobs {
		own[b.Ref.Digest] = true
	}
	for _, ref := range sent.uploaded {
		own[ref.Digest] = true
	}
	for i := range docs {
		for _, ref := range store.BlobRefs(&docs[i]) {
			if own[ref.Digest] {
				continue
			}
			has, err := s.projectHas(r, by, &docs[i], ref.Digest)
			if err != nil {
				return err
			}
			if !has {
				return denied(http.StatusForbidden, "the report refers to blob "+ref.Digest.Short()+", which it does not bring and no run of the project has", "send the blob with the report")
			}
			own[ref.Digest] = true
		}
	}
	return nil
}

// projectHas looks where a report can have a blob from without sending it: the run itself, the one that it repeats, and one with the same data set (record --pins-from).
func (s *Server) projectHas(r *http.Request, by bearer, d *schema.Document, digest schema.Digest) (bool, error) {
	runs := []schema.RunID{d.Run}
	if d.Plan != nil && d.Plan.RerunOf != "" {
		runs = append(runs, d.Plan.RerunOf)
	}
	if d.Plan != nil {
		for _, pin := range d.Plan.Datasets {
			if pin.ContentDigest == "" {
				continue
			}
			found, err := s.db.List(r.Context(), store.Filter{Project: by.project(), Dataset: string(pin.ContentDigest), Limit: 20})
			if err != nil {
				return false, err
			}
			for _, run := range found {
				runs = append(runs, run.ID)
			}
		}
	}
	for _, id := range runs {
		if id == "" {
			continue
		}
		if project, known, err := s.projectOf(r, id); err != nil {
			return false, err
		} else if !known && id != d.Run || known && project != by.project() {
			continue
		}
		if has, err := s.refersTo(r, id, digest); err != nil || has {
			return has, err
		}
	}
	return false, nil
}

// refersTo reports whether a run refers to a blob: by a reference to it, not by a text that holds its digest.
func (s *Server) refersTo(r *http.Request, id schema.RunID, digest schema.Digest) (bool, error) {
	docs, err := s.db.Documents(r.Context(), id)
	var own *schema.Error
	if errors.As(err, &own) && own.Kind == schema.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for i := range docs {
		if slices.ContainsFunc(store.BlobRefs(&docs[i]), func(ref schema.BlobRef) bool { return ref.Digest == digest }) {
			return true, nil
		}
	}
	return false, nil
}
