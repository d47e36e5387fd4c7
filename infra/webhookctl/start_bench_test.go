package main

import (
	"net/http"
	"testing"
	"time"
)

// BenchmarkStart is how long who types `make run` waits, the build apart: from the start of the process
// until the service answers and its banner is there. On a new folder it makes the database, the keys
// and the certificate authority; on another it finds them.
func BenchmarkStart(b *testing.B) {
	b.Run("new folder", func(b *testing.B) {
		benchmarkStart(b, func() place { return place{dir: b.TempDir()} })
	})
	b.Run("folder with data", func(b *testing.B) {
		p := place{dir: b.TempDir()}
		startServer(b, p, "--dev").stop(b)
		benchmarkStart(b, func() place { return p })
	})
}

func benchmarkStart(b *testing.B, where func() place) {
	var all time.Duration
	for range b.N {
		p := where()
		began := time.Now()
		s := startServer(b, p, "--dev")
		s.devKey(b)
		answer, err := http.Get("http://" + s.addr + "/healthz")
		all += time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			b.Fatalf("it answers %d", answer.StatusCode)
		}
		http.DefaultClient.CloseIdleConnections()
		s.stop(b)
	}
	b.ReportMetric(0, "ns/op") // with the end of the process in it
	b.ReportMetric(float64(all.Microseconds())/1000/float64(b.N), "ms-ready")
}
