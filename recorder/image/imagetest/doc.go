// Package imagetest answers one question: how does code that asks a registry behave when the registry does not?
//
// It is a test kit: an OCI registry in this process, on a loopback port, whose answers can be made wrong while it runs. [Start]
// starts it, the Push methods fill it, [Registry.Inject] makes it fail, [Registry.Count] tells what it was asked. Pushing, moving tags and
// deleting go past the faults and are not counted.
//
// It imports schema and go-containerregistry. Start reading at registry.go; the faults are in faults.go.
package imagetest
