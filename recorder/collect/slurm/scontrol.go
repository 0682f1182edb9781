package slurm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parseScontrol reads `scontrol show job`, with -o or without: words KEY=VALUE, a job beginning at each JobId.
func parseScontrol(text string) ([]job, error) {
	var jobs []job
	array, task := "", ""
	finish := func() {
		if len(jobs) > 0 && array != "" && task != "" {
			jobs[len(jobs)-1].id = array + "_" + task
		}
		array, task = "", ""
	}
	waiting := map[int]bool{}
	for _, word := range strings.Fields(text) {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			continue
		}
		if key == "JobId" {
			finish()
			if len(jobs) == maxJobs {
				return nil, fmt.Errorf("it holds more than %d jobs", maxJobs)
			}
			if !JobID(value) {
				return nil, errors.New("JobId is not the id of a job")
			}
			jobs = append(jobs, job{id: value})
			continue
		}
		if len(jobs) == 0 {
			continue
		}
		j := &jobs[len(jobs)-1]
		switch key {
		case "ArrayJobId":
			if JobID(value) {
				array = value
			}
		case "ArrayTaskId":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 {
				task = value
			} else {
				waiting[len(jobs)-1] = true // "2-9%4": tasks that have not been split off
			}
		case "JobState":
			if j.state == "" {
				j.state = value
			}
		case "Reason":
			if j.reason == "" {
				j.reason = value
			}
		case "Restarts":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 && n < 1<<30 {
				j.restarts, j.counted = n, true
			}
		case "ExitCode":
			j.code, j.signal = exit(value)
		case "SubmitTime":
			j.submit = moment(value)
		case "StartTime":
			j.start = moment(value)
		case "EndTime": // of a running job it is when its time is over
			j.end = moment(value)
		case "NodeList":
			j.nodes = value
		}
	}
	finish()
	out := jobs[:0]
	for i, j := range jobs {
		if !waiting[i] {
			out = append(out, j)
		}
	}
	return out, nil
}
