// Package container answers one question: how is a command run in an image, so that the image is the recorded one and nothing else differs
// from running it here?
//
// It drives podman or docker through their command line, in steps, so that what the engine fails at is never taken for the command's own exit:
// the image is pulled by digest and its config digest compared (image.go), a container is created (argv.go) and initialised, then started
// with stdin, stdout and stderr passed through and signals passed on by the engine's client, and at the end the engine is asked how the
// command ended (container.go, state.go). A container outlives a recorder that is killed, and so does the engine's client.
//
// Settings of the engine (runtime, limits, network, devices) are the engine's own (containers.conf, daemon.json) or given as [Options.Args].
//
// It imports schema and rerun/launch, and the reference parser of go-containerregistry. The network is the engine's.
package container
