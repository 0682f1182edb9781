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
)

// Watching is how a watch goes on.
type Watching struct {
	Resync time.Duration // how often everything is listed again, whatever the watch told; 10 minutes
	// First and Longest are how long is waited after a failure: twice as long after each, and a random part less.
	First, Longest time.Duration
	Failed         func(error)               // told of each failure
	Listed         func([]Pod)               // all pods of runs, at each list
	Changed        func(p Pod, deleted bool) // a pod that was added, changed or deleted, as it was last
}

// Watch tells of pods until ctx ends: a list, then its changes; a list again when the watch has lost its place (410 Gone), and at each resync. It keeps nothing but a page.
func (c *Client) Watch(ctx context.Context, w Watching) {
	wait := w.First
	for ctx.Err() == nil {
		err := c.listAndWatch(ctx, w, func() { wait = w.First })
		if err == nil || ctx.Err() != nil {
			continue
		}
		w.Failed(err)
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait/2+1)):
		}
		wait = min(2*wait, w.Longest)
	}
}

// listAndWatch gives nil when it is time to list again.
func (c *Client) listAndWatch(ctx context.Context, w Watching, went func()) error {
	var pods []Pod
	version, err := c.List(ctx, func(p Pod) { pods = append(pods, p) })
	if err != nil {
		return err
	}
	went()
	w.Listed(pods)
	pods = nil
	ctx, cancel := context.WithTimeout(ctx, w.Resync)
	defer cancel()
	for ctx.Err() == nil {
		if version, err = c.watchOnce(ctx, version, w); err != nil {
			if errors.Is(err, errGone) || ctx.Err() != nil {
				return nil
			}
			return c.failed(err)
		}
	}
	return nil
}

var errGone = errors.New("the watch has lost its place")

// watchOnce follows one connection to its end and gives the version that it reached.
func (c *Client) watchOnce(ctx context.Context, version string, w Watching) (string, error) {
	seconds := int64(max(1, w.Resync/time.Second))
	begun := time.Now()
	stream, err := c.pods.Watch(ctx, metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds})
	if err != nil {
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			err = errGone
		}
		return version, err
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		u, ok := event.Object.(*unstructured.Unstructured)
		if event.Type == watch.Error {
			err := apierrors.FromObject(event.Object)
			if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
				err = errGone
			}
			return version, err
		}
		if !ok {
			continue
		}
		if v := u.GetResourceVersion(); v != "" {
			version = v
		}
		if event.Type == watch.Bookmark {
			continue
		}
		if p, ok := stamped(u); ok {
			w.Changed(p, event.Type == watch.Deleted)
		}
	}
	if time.Since(begun) < time.Second && ctx.Err() == nil { // a server that hangs up at once is not to be asked at once
		return version, errors.New("the watch ended at once")
	}
	return version, nil
}
