//go:build !linux

package sqlite

// OnNetworkFileSystem cannot be told on this system.
func OnNetworkFileSystem(string) (fsName string, yes bool) { return "", false }

// OnEphemeral cannot be told on this system.
func OnEphemeral(string) (fsName string, yes bool) { return "", false }
