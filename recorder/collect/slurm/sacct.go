package slurm

import (
	"errors"
	"fmt"
	"strings"
)

// SacctFormat is the columns that sacct is asked for.
const SacctFormat = "JobID,State,ExitCode,Submit,Start,End,NodeList"

// parseSacct reads lines of values between bars. Steps of a job (12.batch, 12.0) are not its end: their job's own line says that.
func parseSacct(text string) ([]job, error) {
	columns := strings.Split(SacctFormat, ",")
	var jobs []job
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		cells := strings.Split(line, "|")
		if cells[0] == "JobID" || cells[0] == "JobIDRaw" {
			columns = cells
			continue
		}
		if len(cells) < len(columns) {
			return nil, fmt.Errorf("a line has %d columns, not %d", len(cells), len(columns))
		}
		var j job
		for i, column := range columns {
			switch value := strings.TrimSpace(cells[i]); column {
			case "JobID":
				j.id = value
			case "JobIDRaw":
				if j.id == "" {
					j.id = value
				}
			case "State":
				j.state = value
			case "ExitCode":
				j.code, j.signal = exit(value)
			case "Submit":
				j.submit = moment(value)
			case "Start":
				j.start = moment(value)
			case "End":
				j.end = moment(value)
			case "NodeList":
				j.nodes = value
			case "Reason":
				j.reason = value
			}
		}
		if strings.Contains(j.id, ".") || strings.Contains(j.id, "[") { // a step, or the tasks of an array that wait
			continue
		}
		if !JobID(j.id) {
			return nil, errors.New("a line does not begin with the id of a job")
		}
		if len(jobs) == maxJobs {
			return nil, fmt.Errorf("it holds more than %d jobs", maxJobs)
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}
