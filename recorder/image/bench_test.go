package image_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/recorder/image"
	"github.com/runpin/runpin/recorder/registry"
)

// BenchmarkResolve: warm is one HEAD and three files of the cache; cold is a new client and an empty cache; bare is the library's
// one HEAD through a Puller that has its ping behind it, which is as little as a tag can cost.
func BenchmarkResolve(b *testing.B) {
	w := newWorld(b, withCache(b.TempDir()))
	ok(b, drop(w.PushIndex("a/b", "1", nil, threePlatforms...)))
	req := recorder.ImageRequest{Name: "image", Ref: w.Ref("a/b", "1"), Platform: "linux/amd64"}
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			ok(b, drop(w.images.ResolveImage(b.Context(), req)))
		}
	})
	b.Run("new-client-warm-cache", func(b *testing.B) {
		dir := b.TempDir()
		for b.Loop() {
			fresh := image.New(image.Options{Registry: registry.New(registry.Options{CacheDir: dir}), Engines: []image.Engine{}})
			ok(b, drop(fresh.ResolveImage(b.Context(), req)))
		}
	})
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			fresh := image.New(image.Options{Registry: registry.New(registry.Options{}), Engines: []image.Engine{}})
			ok(b, drop(fresh.ResolveImage(b.Context(), req)))
		}
	})
	b.Run("bare-head", func(b *testing.B) {
		ref, err := name.ParseReference(req.Ref)
		ok(b, err)
		puller, err := remote.NewPuller()
		ok(b, err)
		for b.Loop() {
			ok(b, drop(puller.Head(b.Context(), ref)))
		}
	})
	b.Run("bare-head-new-client", func(b *testing.B) {
		ref, err := name.ParseReference(req.Ref)
		ok(b, err)
		for b.Loop() {
			ok(b, drop(remote.Head(ref)))
		}
	})
}
