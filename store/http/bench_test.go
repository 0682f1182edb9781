package http

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/runpin/runpin/store"
	"github.com/runpin/runpin/store/storetest"
)

// BenchmarkReports is one report for each operation from 64 clients at once, durable in SQLite when it is answered. A report of "rank" is what a rank of a
// job says at its end (metrics and an output); one of "run" is a whole run. The server runs in the same process, on the same processors.
func BenchmarkReports(b *testing.B) {
	for _, kind := range []string{"rank", "run"} {
		b.Run(kind, func(b *testing.B) {
			const clients = 64
			db := openDB(b, filepath.Join(b.TempDir(), "s.db"), store.Options{})
			url := listen(b, db, ServerOptions{Open: true, Rate: 1e9})
			runs := make([]*storetest.Sample, clients)
			for i := range runs {
				a, started, _ := storetest.Typical(i)
				runs[i] = a
				if err := db.Save(ctx, storetest.Report(started...)); err != nil {
					b.Fatal(err)
				}
			}
			c := client(b, url, ClientOptions{Budget: time.Minute})
			work := make(chan int)
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() {
					for n := range work {
						var err error
						if kind == "run" {
							_, started, ended := storetest.Typical(1000 + n)
							err = c.Save(ctx, storetest.Report(append(started, ended...)...))
						} else {
							rank := n
							d := runs[i].Output(time.Duration(n)*time.Millisecond, "loss", fmt.Sprint(n))
							d.Reporter.Rank = &rank
							err = c.Save(ctx, storetest.Report(d))
						}
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for n := range b.N {
				work <- n
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reports/s")
		})
	}
}
