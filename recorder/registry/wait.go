package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/runpin/runpin/schema"
)

// maxTries is how often a request is sent when the answer is a 5xx or the connection breaks. A registry that asks for patience
// (429, or 503 with Retry-After) is asked again for as long as the budget lasts.
const maxTries = 4

// A budget is what one call may spend on waiting. It travels in the context, so that the requests of one call share it.
type budget struct {
	mu       sync.Mutex
	total    time.Duration
	spent    time.Duration
	deadline time.Time
}

type budgetKey struct{}

// errSlow is the cause of a context whose budget ran out.
var errSlow = errors.New("the registry did not finish in time")

// Bounded gives a context in which all calls together may take as long as Options.Budget allows for one, waiting included. Without
// it each call has a budget of its own.
func (c *Client) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Value(budgetKey{}) != nil {
		return ctx, func() {}
	}
	deadline := time.Now().Add(c.o.Budget)
	ctx = context.WithValue(ctx, budgetKey{}, &budget{total: c.o.Budget, deadline: deadline})
	return context.WithDeadlineCause(ctx, deadline, errSlow)
}

// take reserves d and reports whether the budget had it.
func (b *budget) take(d time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent+d > b.total || time.Now().Add(d).After(b.deadline) {
		return false
	}
	b.spent += d
	return true
}

// busyError is a registry that did not serve us although we waited as it asked, or as long as we may.
type busyError struct {
	host     string
	status   int
	code     string        // the registry's own, TOOMANYREQUESTS
	tries    int           //
	asked    time.Duration // the last Retry-After, 0 without
	waited   time.Duration
	tooLong  bool // asked is more than we wait at once
	overtime bool // the budget ran out
}

func (e *busyError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s answered %d %s", e.host, e.status, http.StatusText(e.status))
	if e.code != "" {
		fmt.Fprintf(&s, " (%s)", e.code)
	}
	if e.tries > 1 {
		fmt.Fprintf(&s, " %d times", e.tries)
	}
	if e.waited > 0 {
		fmt.Fprintf(&s, ", we waited %v", e.waited.Round(time.Millisecond))
	}
	switch {
	case e.tooLong:
		fmt.Fprintf(&s, "; it asks to wait %v, which is longer than we wait", e.asked.Round(time.Second))
	case e.overtime:
		s.WriteString("; the time allowed for it is used up")
	}
	return s.String()
}

// retryAfter reads the Retry-After header of RFC 9110 §10.2.3: seconds or a date. Go durations and fractions of a second are taken
// too: registries send them (dependabot/cli#380).
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	const most = 1000 * time.Hour
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 {
		if seconds > most.Seconds() {
			return most, true
		}
		return time.Duration(seconds * float64(time.Second)), true
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), most), true
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return min(d, most), true
	}
	return 0, false
}

// backoff is the pause after the given try (from 1): 0.2 s, 0.6 s, 1.8 s, … at most 30 s, and up to a fifth more so that many
// clients do not come back at once.
func backoff(try int) time.Duration {
	d := 200 * time.Millisecond
	for i := 1; i < try && d < 30*time.Second; i++ {
		d *= 3
	}
	d = min(d, 30*time.Second)
	return d + time.Duration(rand.Int64N(int64(d)/5))
}

// again decides what follows a try: whether to send the request again, and how long to wait before.
func (t *transportLayer) again(req *http.Request, res *http.Response, err error, try int) (time.Duration, bool) {
	idempotent := req.Method == http.MethodGet || req.Method == http.MethodHead
	if err != nil {
		return backoff(try), idempotent && try < maxTries && transient(err)
	}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		asked, ok := retryAfter(res.Header, t.now())
		switch {
		case req.Body != nil && req.GetBody == nil:
			return 0, false
		case ok:
			return max(asked, backoff(try)), true
		case res.StatusCode == http.StatusTooManyRequests:
			return backoff(try + 1), try < 2*maxTries
		}
		return backoff(try), idempotent && try < maxTries
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout, 499, 522:
		return backoff(try), idempotent && try < maxTries
	}
	return 0, false
}

// transient recognises a connection that broke. A host that cannot be found, refuses, or does not answer in time is not asked again.
func transient(err error) bool {
	var short *shortError
	return errors.As(err, &short) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED) ||
		strings.Contains(err.Error(), "server closed idle connection") || strings.Contains(err.Error(), "GOAWAY")
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errorCode gives the first code of an error answer (distribution-spec, "Error Codes"), or "".
func errorCode(body []byte) string {
	var answer struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if unmarshal(body, &answer) != nil || len(answer.Errors) == 0 {
		return ""
	}
	return schema.Shorten(printable(answer.Errors[0].Code), 60)
}
