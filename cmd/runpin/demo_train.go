package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/urfave/cli/v2"
)

// demoTrainCommand is the training program of the demo: it fits a line to a CSV file by gradient descent, deterministically. Its settings are in
// trainer.json of the working directory, which stands for the code.
func demoTrainCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "train", Hidden: true, Usage: "fit a line: the program that the demo records", ArgsUsage: "<data.csv> <model>",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 2, 2, "<data.csv> and <model>")
			if err != nil {
				return err
			}
			slope, offset, err := fitLine(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(env.Out, "   trained: y = %.4f x + %.4f\n", slope, offset)
			return os.WriteFile(args[1], []byte(fmt.Sprintf("slope %.17g\noffset %.17g\n", slope, offset)), 0o644)
		},
	}
}

func fitLine(path string) (slope, offset float64, err error) {
	var config struct {
		Epochs int     `json:"epochs"`
		Rate   float64 `json:"rate"`
	}
	data, err := readSmall("trainer.json", 1<<16)
	if err != nil {
		return 0, 0, err
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return 0, 0, err
	}
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer closeQuietly(file)
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return 0, 0, err
	}
	for range config.Epochs {
		var ds, do float64
		for _, row := range rows {
			x, _ := strconv.ParseFloat(row[0], 64)
			y, _ := strconv.ParseFloat(row[1], 64)
			off := slope*x + offset - y
			ds, do = ds+off*x, do+off
		}
		slope -= config.Rate * ds / float64(len(rows))
		offset -= config.Rate * do / float64(len(rows))
	}
	return slope, offset, nil
}
