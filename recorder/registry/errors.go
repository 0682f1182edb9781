package registry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/runpin/runpin/schema"
)

// Causes that a caller may want to tell apart, with errors.Is. All errors of this package are *schema.Error.
var (
	ErrImageID         = errors.New("it is the id of an image, which an engine knows and a registry does not")
	ErrNameUnknown     = errors.New("the registry has no such repository")      // NAME_UNKNOWN
	ErrManifestUnknown = errors.New("the repository has no such tag or digest") // MANIFEST_UNKNOWN
	ErrNotFound        = errors.New("the registry answers 404 Not Found")       // without saying which of the two
	ErrDenied          = errors.New("the registry denies access")               // 401, 403
	ErrDigestMismatch  = errors.New("the bytes do not have the digest that was asked for")
	ErrTooLarge        = errors.New("the answer is too large")
)

// Absent reports whether err says that a registry has no such image, as opposed to not telling.
func Absent(err error) bool {
	return errors.Is(err, ErrNameUnknown) || errors.Is(err, ErrManifestUnknown) || errors.Is(err, ErrNotFound)
}

// classify turns what the library and the network say into the one error type. op is for logs.
func (c *Client) classify(ctx context.Context, op string, ref Reference, err error) error {
	var known *schema.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	fail := func(kind schema.Kind, cause error, hint string) error {
		return &schema.Error{Op: "registry." + op, Kind: kind, Subject: "image " + ref.String(), Err: cause, Hint: hint}
	}
	var overHTTP *httpPingError
	if errors.As(err, &overHTTP) && !certificateTrouble(err) {
		err = overHTTP.error
	}
	var (
		busy     *busyError
		plain    *plainHTTPError
		redirect *redirectError
		answer   *transport.Error
		creds    *credentialError
	)
	switch {
	case errors.Is(err, ErrDigestMismatch):
		return fail(schema.Drift, cause(err), "the registry, a proxy or a mirror in front of it is damaged or does not tell the truth; try another one")
	case errors.Is(err, ErrTooLarge):
		return fail(schema.Unpinnable, cause(err), "what answers at "+ref.Host()+" may not be a registry")
	case errors.As(err, &busy):
		return fail(schema.Unavailable, busy, busyHint(busy))
	case errors.As(err, &creds):
		return fail(schema.Unpinnable, fmt.Errorf("%s", scrubText(creds.Error())), "repair the file or the credential helper that it names, or log in again")
	case errors.As(err, &redirect):
		return fail(schema.Unpinnable, redirect, "")
	case errors.As(err, &answer):
		return c.classifyAnswer(fail, ref, answer)
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), errSlow), errors.Is(err, errSlow):
		return fail(schema.Unavailable, errSlow, "try again later")
	case errors.Is(err, context.Canceled):
		return fail(schema.Interrupted, context.Canceled, "")
	case strings.Contains(err.Error(), "SSRF protection") || strings.Contains(err.Error(), "private or link-local"):
		// go-containerregistry 0.22 refuses these; it has no type for it.
		return fail(schema.Unpinnable, cause(err), "the registry sends us on to a private IP address; have it give a host name instead")
	case errors.As(err, &plain) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fail(schema.Unavailable, cause(err), "https to "+ref.Host()+" failed; if that registry speaks plain http only, allow it: --insecure-registry "+insecureName(plain, ref))
	}
	return fail(schema.Unavailable, cause(err), networkHint(ref, err))
}

func insecureName(plain *plainHTTPError, ref Reference) string {
	if plain != nil {
		return plain.host
	}
	return ref.Host()
}

func (c *Client) classifyAnswer(fail func(schema.Kind, error, string) error, ref Reference, answer *transport.Error) error {
	code, message := "", ""
	if len(answer.Errors) > 0 {
		code, message = string(answer.Errors[0].Code), answer.Errors[0].Message
	}
	said := func(cause error) error {
		if code == "" {
			return fmt.Errorf("%w (%d %s)", cause, answer.StatusCode, http.StatusText(answer.StatusCode))
		}
		return fmt.Errorf("%w (%s)", cause, scrubText(strings.TrimSuffix(code+": "+message, ": ")))
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fail(schema.Unpinnable, said(ErrDenied), c.keys.loginHint(ref.repo.RegistryStr())+"; registries also answer so when there is no such repository")
	case http.StatusNotFound:
		switch transport.ErrorCode(code) {
		case transport.NameUnknownErrorCode:
			return fail(schema.Unpinnable, said(ErrNameUnknown), "check the spelling of "+ref.Repository+", or push the image first")
		case transport.ManifestUnknownErrorCode:
			hint := "check the tag, or push it first"
			if ref.Digest != "" {
				hint = "the digest was never pushed there, or the registry has deleted it"
			}
			return fail(schema.Unpinnable, said(ErrManifestUnknown), hint)
		}
		return fail(schema.Unpinnable, said(ErrNotFound), "check that "+ref.Host()+" is a registry, and the spelling of "+ref.String())
	case http.StatusBadRequest:
		return fail(schema.Unpinnable, said(errors.New("the registry does not accept the reference")), "")
	}
	return fail(schema.Unavailable, said(errors.New("the registry answered unexpectedly")), "check that "+ref.Host()+" is a registry, and try again later")
}

func busyHint(e *busyError) string {
	switch {
	case e.status == http.StatusTooManyRequests && e.asked > 0:
		return fmt.Sprintf("try again in %v; a registry limits by account or address, so logging in may help", e.asked)
	case e.status == http.StatusTooManyRequests:
		return "try again later; a registry limits by account or address, so logging in may help"
	}
	return "try again later"
}

// cause strips the wrappings of net/http, whose text repeats method and URL, and gives a text that is fit to show.
func cause(err error) error {
	for {
		var u *url.Error
		if !errors.As(err, &u) {
			break
		}
		err = u.Err
	}
	return &shownError{text: scrubText(err.Error()), err: err}
}

// shownError has a scrubbed text; the cause stays reachable for errors.Is.
type shownError struct {
	text string
	err  error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.err }

func certificateTrouble(err error) bool {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}

func networkHint(ref Reference, err error) string {
	var (
		dns     *net.DNSError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &dns):
		return "check the spelling of the host " + ref.Host() + ", and the network"
	case errors.As(err, &unknown):
		return "the registry's certificate is signed by an authority that this machine does not know; add it, or name its file in SSL_CERT_FILE"
	case errors.As(err, &host):
		return "the registry's certificate is for another host"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the registry does not answer in time; check the network and HTTPS_PROXY, and try again"
	}
	return "check that " + ref.Host() + " is a registry that can be reached from here, and try again"
}
