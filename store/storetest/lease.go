package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
)

var leaseTests = map[string]func(*testing.T, Opener){
	"a run whose reporter is gone is lost, until a late finish": func(t *testing.T, open Opener) {
		now := Epoch
		s := open(t, store.Options{Now: func() time.Time { return now }})
		a := NewSample(1)
		lease := &schema.Lease{Host: "elsewhere", BootID: "b", PID: 7, ProcessStart: "1", Interval: 60}
		save(t, s, a.Base(), a.Running(0, lease))
		at := func(after time.Duration, want schema.Status) {
			t.Helper()
			now = a.At.Add(after)
			if r := run(t, s, a.ID); r.Status != want {
				t.Errorf("after %v: %s, want %s", after, r.Status, want)
			}
			for _, status := range []schema.Status{schema.Running, schema.Lost, schema.Failed} {
				if want == status {
					wantRuns(t, s, store.Filter{Status: status}, a)
				} else {
					wantRuns(t, s, store.Filter{Status: status})
				}
			}
		}
		at(0, schema.Running)
		at(3*time.Minute, schema.Running)
		at(3*time.Minute+time.Second, schema.Lost)
		now = a.At.Add(5 * time.Minute) // a server goes by its own clock
		if err := s.Beat(context.Background(), a.ID, schema.At(a.At.Add(5*time.Minute))); err != nil {
			t.Fatal(err)
		}
		at(8*time.Minute, schema.Running)
		if r := run(t, s, a.ID); r.Lease == nil || r.Lease.Beat != schema.At(a.At.Add(5*time.Minute)) {
			t.Errorf("lease %+v", r.Lease)
		}
		now = a.At
		if err := s.Beat(context.Background(), a.ID, schema.At(a.At)); err != nil { // late, and older
			t.Fatal(err)
		}
		at(8*time.Minute, schema.Running)
		at(9*time.Minute, schema.Lost)
		save(t, s, a.Ended(10*time.Minute, schema.Failed))
		at(11*time.Minute, schema.Failed)
		now = a.At.Add(12 * time.Minute)
		if err := s.Beat(context.Background(), a.ID, schema.At(a.At.Add(12*time.Minute))); err != nil {
			t.Fatal(err)
		}
		at(12*time.Minute, schema.Failed)
		wantSound(t, s)
	},
	"two minutes of silence are allowed at least": func(t *testing.T, open Opener) {
		now := Epoch
		s := open(t, store.Options{Now: func() time.Time { return now }})
		a := NewSample(1)
		save(t, s, a.Base(), a.Running(0, &schema.Lease{Host: "elsewhere", Interval: 1}))
		now = a.At.Add(119 * time.Second)
		if r := run(t, s, a.ID); r.Status != schema.Running {
			t.Error(r.Status)
		}
		now = a.At.Add(121 * time.Second)
		if r := run(t, s, a.ID); r.Status != schema.Lost {
			t.Error(r.Status)
		}
	},
	"this process is alive however long it is silent": func(t *testing.T, open Opener) {
		s := open(t, store.Options{Now: func() time.Time { return Epoch.Add(1000 * time.Hour) }})
		a, b := NewSample(1), NewSample(2)
		lease := store.CurrentLease(30 * time.Second)
		if lease.ProcessStart == "" {
			t.Skip("this system does not tell when a process was started")
		}
		save(t, s, a.Base(), a.Running(0, &lease))
		if r := run(t, s, a.ID); r.Status != schema.Running {
			t.Error(r.Status)
		}
		gone := lease
		gone.ProcessStart = "1" // another process had this pid
		save(t, s, b.Base(), b.Running(0, &gone))
		if err := s.Beat(context.Background(), b.ID, schema.At(Epoch.Add(1000*time.Hour))); err != nil {
			t.Fatal(err)
		}
		if r := run(t, s, b.ID); r.Status != schema.Lost {
			t.Error(r.Status)
		}
	},
	"running without a lease is lost": func(t *testing.T, open Opener) {
		s := open(t, store.Options{Now: func() time.Time { return Epoch }})
		a := NewSample(1)
		save(t, s, a.Base(), a.Running(0, nil))
		if r := run(t, s, a.ID); r.Status != schema.Lost {
			t.Error(r.Status)
		}
	},
}
