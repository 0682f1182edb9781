package main

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/runpin/runpin/recorder"
	"github.com/runpin/runpin/rerun"
	"github.com/runpin/runpin/schema"
)

// A runpin that is started with RUNPIN_TEST_STALL="STAGE FILE" makes FILE when it gets to that stage, and goes no further until it is told to stop: a test can then
// kill a real process exactly there. With RUNPIN_TEST_HOLD it goes on when FILE is gone again. The stages lie at the ports between the rooms.
func init() {
	stage, file, found := strings.Cut(os.Getenv("RUNPIN_TEST_STALL"), " ")
	held, until, holds := strings.Cut(os.Getenv("RUNPIN_TEST_HOLD"), " ")
	if !found && !holds {
		return
	}
	at := func(ctx context.Context, here string) error {
		if holds && here == held {
			return hold(until)
		}
		if here != stage {
			return nil
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Hour):
			return context.DeadlineExceeded
		}
	}
	spoilWiring = func(w *wiring) {
		w.rerunner.Code = stallingCode{w.rerunner.Code, at}
		w.rerunner.Datasets = stallingData{w.rerunner.Datasets, at}
		w.rerunner.Record = stallingRecording{w.rerunner.Record, at}
		w.rerunner.Saver = stallingSaver{w.rerunner.Saver, at}
		w.recorder.Outputs = stallingOutputs{w.recorder.Outputs, at}
	}
}

func hold(file string) error {
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(file); err != nil {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

type stall func(ctx context.Context, stage string) error

type stallingCode struct {
	rerun.Code
	at stall
}

func (s stallingCode) CheckCode(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource) schema.Availability {
	_ = s.at(ctx, "preflight")
	return s.Code.CheckCode(ctx, pin, blobs)
}

func (s stallingCode) RestoreCode(ctx context.Context, pin schema.CodePin, blobs schema.BlobSource, dir string) error {
	return s.Code.RestoreCode(ctx, pin, stallingBlobs{blobs, s.at}, dir)
}

// stallingBlobs stall where the commit is checked out and its changes are not applied yet.
type stallingBlobs struct {
	schema.BlobSource
	at stall
}

func (s stallingBlobs) OpenBlob(ctx context.Context, ref schema.BlobRef) (io.ReadCloser, error) {
	if ref.Kind == schema.BlobFile {
		if err := s.at(ctx, "code"); err != nil {
			return nil, err
		}
	}
	return s.BlobSource.OpenBlob(ctx, ref)
}

type stallingData struct {
	rerun.Datasets
	at stall
}

func (s stallingData) PlaceDataset(ctx context.Context, pin schema.DatasetPin, at, dest string, copied bool, progress schema.Progress) error {
	if pin.Name == "inside" {
		return s.Datasets.PlaceDataset(ctx, pin, at, dest, copied, stallingProgress{ctx, s.at})
	}
	if err := s.Datasets.PlaceDataset(ctx, pin, at, dest, copied, progress); err != nil {
		return err
	}
	return s.at(ctx, "placed") // the last of them
}

// stallingProgress stalls while the bytes of a data set are copied.
type stallingProgress struct {
	ctx context.Context
	at  stall
}

func (s stallingProgress) Step(string, int64, int64, string) { _ = s.at(s.ctx, "copying") }

type stallingRecording struct {
	rerun.Recording
	at stall
}

func (s stallingRecording) Record(ctx context.Context, prepared rerun.Prepared) (schema.Run, int, error) {
	if err := s.at(ctx, "restored"); err != nil {
		return schema.Run{}, 0, err
	}
	return s.Recording.Record(ctx, prepared)
}

type stallingSaver struct {
	rerun.Saver
	at stall
}

func (s stallingSaver) Save(ctx context.Context, report schema.Report) error {
	if slices.ContainsFunc(report.Documents, func(d schema.Document) bool { return d.Observation != nil && d.Observation.Verdict != nil }) {
		if err := s.at(ctx, "verdict"); err != nil {
			return err
		}
	}
	return s.Saver.Save(ctx, report)
}

type stallingOutputs struct {
	recorder.OutputHasher
	at stall
}

func (s stallingOutputs) HashOutput(ctx context.Context, path string, sink schema.BlobSink) (schema.Output, error) {
	if err := s.at(ctx, "hashing"); err != nil {
		return schema.Output{}, err
	}
	return s.OutputHasher.HashOutput(ctx, path, sink)
}
