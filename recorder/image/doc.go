// Package image answers one question: which image was used?
//
// [Resolver.ResolveImage] turns a reference as it was written into a pin: the digest of the index, of the platform's manifest and of
// the configuration, with the labels that say what the image was built from. An image that no registry has is looked for in the
// engine (podman, docker); an image file (.sqsh, .sif) is hashed. [Resolver.CheckImage] tells whether a recorded image can still be had.
//
// It implements recorder.ImageResolver and rerun.ImageChecker; it imports recorder (its ports), recorder/registry,
// recorder/redact and schema. Start
// reading at resolver.go; remote.go is the usual way, local.go and file.go the others, check.go the way back.
package image
