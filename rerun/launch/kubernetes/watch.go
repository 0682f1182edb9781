package kubernetes

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/runpin/runpin/schema"
)

// listed is everything that matched, and the version from which a watch goes on.
type listed struct {
	objects []*unstructured.Unstructured
	version string
}

const (
	pageSize   = 500
	maxListed  = 100_000
	firstPause = 200 * time.Millisecond
	longPause  = 30 * time.Second
	asking     = 5 * time.Second // between lists, where an account may list and not watch
)

// list reads all pages. A page that is too old makes it begin again.
func (l *Launcher) list(outer context.Context, at dynamic.ResourceInterface, o metav1.ListOptions) (all listed, err error) {
	o.Limit = pageSize
	for pages, restarts := 0, 0; ; pages++ {
		ctx, cancel := context.WithTimeout(outer, l.options.Timeout)
		page, err := at.List(ctx, o)
		cancel()
		if isExpired(err) && o.Continue != "" && restarts < 3 {
			o.Continue, all = "", listed{}
			restarts++
			continue
		}
		if err != nil {
			return listed{}, err
		}
		for i := range page.Items {
			all.objects = append(all.objects, &page.Items[i])
		}
		if len(all.objects) > maxListed || pages > maxListed {
			return listed{}, errors.New("it lists too many objects")
		}
		if o.Continue = page.GetContinue(); o.Continue == "" {
			all.version = page.GetResourceVersion()
			return all, nil
		}
	}
}

// news is what a watch tells.
type news struct {
	all     []*unstructured.Unstructured // everything, after a list
	listed  bool
	one     *unstructured.Unstructured // what was added or changed, or was deleted as it was last
	deleted bool
	failed  error // the cluster cannot be asked any more
}

// watch tells of objects until ctx ends or the cluster cannot be asked any more: a list, then changes, a list again when the place is lost (410 Gone) and at each poll.
func (l *Launcher) watch(ctx context.Context, what string, at dynamic.ResourceInterface, o metav1.ListOptions, tell func(news)) {
	pause, refusals := firstPause, 0
	var away time.Time
	for ctx.Err() == nil {
		err := l.listAndWatch(ctx, at, o, tell, func() { pause, refusals, away = firstPause, 0, time.Time{} })
		if err == nil || ctx.Err() != nil {
			continue
		}
		switch {
		case refused(err): // a token may be renewed between two questions
			refusals++
		case away.IsZero():
			away = time.Now()
			if what != "" {
				l.warn("cluster %s does not %s: %s; asking again for %s", l.host, what, l.why(err), l.options.Patience)
			}
		}
		if refusals == 3 || !away.IsZero() && time.Since(away) > l.options.Patience {
			tell(news{failed: l.failed(ctx, what, err)})
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2+1)):
		}
		pause = min(2*pause, longPause)
	}
}

// listAndWatch gives nil when it is time to list again.
func (l *Launcher) listAndWatch(ctx context.Context, at dynamic.ResourceInterface, o metav1.ListOptions, tell func(news), went func()) error {
	all, err := l.list(ctx, at, o)
	if err != nil {
		return err
	}
	tell(news{all: all.objects, listed: true})
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, l.options.Poll)
	defer cancel()
	for version := all.version; ctx.Err() == nil; {
		version, err = l.watchOnce(ctx, at, o, version, tell)
		switch {
		case ctx.Err() != nil || isExpired(err):
			went()
			return nil
		case apierrors.IsForbidden(err) || apierrors.IsMethodNotSupported(err):
			went()
			select {
			case <-outer.Done():
			case <-time.After(min(asking, l.options.Poll)):
			}
			return nil
		case err != nil:
			return err
		}
		went()
	}
	return nil
}

var errHungUp = errors.New("the watch ended at once")

// watchOnce follows one connection to its end and gives the version that it reached.
func (l *Launcher) watchOnce(ctx context.Context, at dynamic.ResourceInterface, o metav1.ListOptions, version string, tell func(news)) (string, error) {
	seconds := int64(max(1, l.options.Poll/time.Second))
	begun := time.Now()
	o.ResourceVersion, o.AllowWatchBookmarks, o.TimeoutSeconds = version, true, &seconds
	stream, err := at.Watch(ctx, o)
	if err != nil {
		return version, err
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		if event.Type == watch.Error {
			return version, apierrors.FromObject(event.Object)
		}
		u, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		if v := u.GetResourceVersion(); v != "" {
			version = v
		}
		if event.Type != watch.Bookmark {
			tell(news{one: u, deleted: event.Type == watch.Deleted})
		}
	}
	if time.Since(begun) < time.Second && ctx.Err() == nil { // a server that hangs up at once is not to be asked at once
		return version, errHungUp
	}
	return version, nil
}

// patiently asks again until there is an answer, or a refusal, or patience ends.
func (l *Launcher) patiently(ctx context.Context, ask func() error) error {
	begun := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := ask()
		var no refusal
		if err == nil || schema.KindOf(err) != schema.Unavailable || time.Since(begun) > l.options.Patience || errors.As(err, &no) {
			return err
		}
		if pause == firstPause {
			l.warn("%s; asking again for %s", err, l.options.Patience)
		}
		select {
		case <-ctx.Done():
			return l.failed(ctx, "", ctx.Err())
		case <-time.After(pause):
		}
	}
}
