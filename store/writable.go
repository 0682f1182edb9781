package store

import "context"

// Writable finds out whether the store can be written to now. It waits for another writer as long as a report would, and changes nothing.
func (s *Store) Writable(ctx context.Context) error {
	return s.write(ctx, "store.probe", "store", func(t *tx) error {
		_, err := t.exec("UPDATE leases SET beat = beat WHERE 1 = 0") // takes the right to write, and touches no row
		return err
	})
}
