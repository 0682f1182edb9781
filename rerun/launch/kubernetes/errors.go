package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runpin/runpin/schema"
)

func isNotFound(err error) bool     { return apierrors.IsNotFound(err) }
func isUnauthorized(err error) bool { return apierrors.IsUnauthorized(err) }
func isExpired(err error) bool      { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }

// refused reports an answer that asking again does not change.
func refused(err error) bool { return apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) }

// refusal is what the cluster says to an account.
type refusal string

// Error gives what it says.
func (r refusal) Error() string { return string(r) }

// unclear reports a failure after which the request may have been carried out all the same.
func unclear(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsInternalError(err) || apierrors.IsUnexpectedServerError(err) ||
		status.Status().Code >= 500
}

// unknownKind is a kind that the cluster does not have. What is of it is gone.
type unknownKind apischema.GroupVersionKind

// Error names the kind.
func (k unknownKind) Error() string {
	return fmt.Sprintf("it has no kind %s of %s", k.Kind, apischema.GroupVersionKind(k).GroupVersion())
}

// failed says that the cluster did not do what it was asked to; what completes "it does not …".
func (l *Launcher) failed(ctx context.Context, what string, err error) error {
	fail := func(kind schema.Kind, text, hint string) error {
		e := &schema.Error{Op: op, Kind: kind, Subject: "cluster " + l.host, Err: errors.New(text), Hint: hint}
		if refused(err) {
			e.Err = refusal(text)
		}
		return e
	}
	var own *schema.Error
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &own):
		return own
	case ctx.Err() != nil:
		return fail(schema.Interrupted, "interrupted", "")
	case apierrors.IsUnauthorized(err):
		return fail(schema.Unavailable, "it does not know this account: "+l.why(err), "log in again, or check the kubeconfig")
	case apierrors.IsForbidden(err):
		return fail(schema.Unavailable, "it does not let this account "+what+": "+l.why(err), "ask for the role in examples/rerun-kubernetes")
	case apierrors.IsAlreadyExists(err):
		return fail(schema.Conflict, l.why(err), "delete it, or give the job another name")
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err), apierrors.IsMethodNotSupported(err), apierrors.IsNotAcceptable(err),
		apierrors.IsUnsupportedMediaType(err):
		return fail(schema.Invalid, l.why(err), "the cluster refuses it as it stands; try `kubectl create --dry-run=server -f` with it")
	case apierrors.IsNotFound(err):
		return fail(schema.Unavailable, l.why(err), "check the namespace, and that a Kubernetes API server answers there")
	case errors.As(err, &status):
		return fail(schema.Unavailable, "it does not "+what+": "+l.why(err), "try again later")
	case errors.Is(err, context.DeadlineExceeded):
		return fail(schema.Unavailable, "it does not "+what+": no answer in time", "check that the cluster can be reached from here")
	}
	return fail(schema.Unavailable, "it does not "+what+": "+l.why(err), "check that the cluster can be reached from here")
}

// why gives the cause of a failure: without the URL that was asked for, on one line, and without what a request proves itself with.
func (l *Launcher) why(err error) string {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return clean(l.secrets.hide(err.Error()), 300)
}

func isExists(err error) bool   { return apierrors.IsAlreadyExists(err) }
func isConflict(err error) bool { return apierrors.IsConflict(err) }
