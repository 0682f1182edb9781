package environment

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/runpin/runpin/schema"
)

// smiColumns are asked for in this order and the answer is read by it: the manual promises no other stability. A column that this version of
// nvidia-smi does not know is dropped and the rest is asked for again.
var smiColumns = []string{"index", "uuid", "name", "driver_version", "compute_cap", "vbios_version", "memory.total", "ecc.mode.current", "mig.mode.current", "pci.bus_id"}

var (
	unknownColumn = regexp.MustCompile(`Field "([a-zA-Z0-9_.]+)" is not a valid field`)
	cudaVersion   = regexp.MustCompile(`CUDA Version\s*:\s*([0-9]+\.[0-9]+)`)
)

// askSMI runs nvidia-smi, for three seconds in all.
func (r *Reader) askSMI(ctx context.Context) (gpuFacts, error) {
	program := r.smiPath()
	if program == "" {
		return gpuFacts{}, fmt.Errorf("it is not installed")
	}
	ctx, cancel := context.WithTimeout(ctx, smiTimeout)
	defer cancel()
	cuda := make(chan string, 1)
	go func() { cuda <- askCUDA(ctx, program) }()
	columns := slices.Clone(smiColumns)
	for {
		out, err := runSMI(ctx, program, "--query-gpu="+strings.Join(columns, ","), "--format=csv,noheader,nounits")
		if err != nil {
			m := unknownColumn.FindSubmatch(out)
			if m == nil || !slices.Contains(columns, string(m[1])) || len(columns) == 1 {
				return gpuFacts{}, err
			}
			columns = slices.DeleteFunc(columns, func(c string) bool { return c == string(m[1]) })
			continue
		}
		facts, err := parseSMI(out, columns)
		if err != nil {
			return gpuFacts{}, err
		}
		facts.CUDA = <-cuda
		return facts, nil
	}
}

// askCUDA: newer versions say it with --version, all of them in the head of the table.
func askCUDA(ctx context.Context, program string) string {
	for _, args := range [][]string{{"--version"}, nil} {
		out, err := runSMI(ctx, program, args...)
		if m := cudaVersion.FindSubmatch(out); err == nil && m != nil {
			return string(m[1])
		}
	}
	return ""
}

const maxSMIOutput = 1 << 20

// runSMI gives what the program wrote to both outputs, bounded.
func runSMI(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	out := &bounded{limit: maxSMIOutput}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 100 * time.Millisecond // a grandchild may hold the pipe
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("it took more than %v", smiTimeout)
	}
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("exit status %d", exit.ExitCode())
		}
		return out.Bytes(), err
	}
	return out.Bytes(), nil
}

// bounded keeps the first limit bytes.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// parseSMI reads the answer by the columns that were asked for. "[N/A]" and the like are absent values.
func parseSMI(out []byte, columns []string) (gpuFacts, error) {
	var facts gpuFacts
	if !utf8.Valid(out) {
		return facts, fmt.Errorf("its answer is not text")
	}
	reader := csv.NewReader(bytes.NewReader(out))
	reader.TrimLeadingSpace, reader.FieldsPerRecord, reader.LazyQuotes = true, -1, true
	rows, err := reader.ReadAll()
	if err != nil {
		return facts, fmt.Errorf("its answer cannot be read")
	}
	for _, row := range rows {
		if len(row) == 1 && strings.HasPrefix(row[0], "No devices") {
			continue
		}
		if len(row) != len(columns) || len(facts.GPUs) >= maxGPUs {
			return gpuFacts{}, fmt.Errorf("its answer has %d columns where %d were asked for", len(row), len(columns))
		}
		g := schema.GPU{Index: len(facts.GPUs)}
		for i, column := range columns {
			value := strings.TrimSpace(row[i])
			if value == "" || value == "N/A" || strings.HasPrefix(value, "[") || len(value) > 256 {
				continue
			}
			switch column {
			case "index":
				if n, err := strconv.Atoi(value); err == nil && n >= 0 {
					g.Index = n
				}
			case "uuid":
				g.UUID = value
			case "name":
				g.Model = value
			case "driver_version":
				facts.Driver = value
			case "compute_cap":
				g.ComputeCapability = value
			case "vbios_version":
				g.VBIOS = value
			case "memory.total":
				if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 {
					g.MemoryMiB = n
				}
			case "ecc.mode.current":
				g.ECC = strings.ToLower(value)
			case "mig.mode.current":
				g.MIG = strings.ToLower(value)
			case "pci.bus_id":
				g.PCI = value
			}
		}
		facts.GPUs = append(facts.GPUs, g)
	}
	return facts, nil
}
