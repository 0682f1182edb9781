package image_test

import (
	"testing"

	"github.com/runpin/runpin/recorder/image/imagetest"
	"github.com/runpin/runpin/schema"
)

// TestDescribe: a digest alone says whether it is of an index; which platform ran is said only where there is no choice.
func TestDescribe(t *testing.T) {
	w := newWorld(t)
	single, err := w.PushImage("team/trainer", "1", imagetest.Image{})
	ok(t, err)
	index, err := w.PushIndex("team/trainer", "2", nil, threePlatforms...)
	ok(t, err)
	lone, err := w.PushIndex("team/trainer", "3", nil, imagetest.Image{Platform: "linux/arm64", Files: map[string]string{"b": "x"}})
	ok(t, err)
	repo := w.Host + "/team/trainer@"

	pin, children, err := w.images.DescribeImage(t.Context(), repo+string(single.Digest), "")
	ok(t, err)
	if pin.IndexDigest != "" || pin.PlatformDigest != single.Digest || pin.ConfigDigest != single.Config || pin.Platform != "linux/amd64" || len(children) != 0 {
		t.Errorf("a single image: %+v %v", pin, children)
	}
	pin, children, err = w.images.DescribeImage(t.Context(), repo+string(index.Digest), "")
	ok(t, err)
	if pin.IndexDigest != index.Digest || pin.PlatformDigest != "" || pin.ConfigDigest != "" || len(children) != 3 {
		t.Errorf("an index: %+v %v", pin, children)
	}
	pin, _, err = w.images.DescribeImage(t.Context(), repo+string(index.Digest), "linux/arm64")
	ok(t, err)
	if pin.IndexDigest != index.Digest || pin.PlatformDigest == "" || pin.ConfigDigest == "" || pin.Platform != "linux/arm64" {
		t.Errorf("an index on a known platform: %+v", pin)
	}
	pin, _, err = w.images.DescribeImage(t.Context(), repo+string(lone.Digest), "")
	ok(t, err)
	if pin.IndexDigest != lone.Digest || pin.PlatformDigest == "" || pin.Platform != "linux/arm64" {
		t.Errorf("an index of one image: %+v", pin)
	}
	if _, _, err = w.images.DescribeImage(t.Context(), repo+string(schema.SHA256([]byte("none"))), ""); !schema.IsKind(err, schema.Unpinnable) {
		t.Errorf("what was never pushed: %v", err)
	}
	if _, _, err = w.images.DescribeImage(t.Context(), w.Host+"/team/trainer:1", ""); !schema.IsKind(err, schema.Unpinnable) {
		t.Errorf("a tag: %v", err)
	}
}
