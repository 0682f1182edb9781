package environment

import "strings"

// classes says of each field of schema.Environment, by its JSON path without indices, how much a difference matters (standards: cuBLAS and cuDNN
// promise equal bits for equal versions on GPUs of one architecture and as many SMs; oneDNN and oneMKL for one platform and thread count).
var classes = map[string]string{
	"id": Noise, "node": Noise, "ranks": Noise, "reasons": Noise,
	"os": Likely, "os.name": Likely, "os.version": Likely, "os.pretty": Noise, "os.kernel": Likely, "os.arch": Must,
	"cpu": Must, "cpu.vendor": Must, "cpu.model": Likely, "cpu.logical": Likely, "cpu.usable": Must, "cpu.quota": Likely, "cpu.features": Must,
	"memory_bytes": Noise, "memory_limit_bytes": Noise,
	"gpus": Must, "gpus.index": Noise, "gpus.uuid": Noise, "gpus.model": Must, "gpus.compute_capability": Must, "gpus.memory_mib": Likely, "gpus.ecc": Likely, "gpus.mig": Must,
	"gpus.vbios": Likely, "gpus.pci": Noise, "gpu_driver": Must, "cuda": Likely,
	"interpreter": Must, "interpreter.path": Noise, "interpreter.kind": Must, "interpreter.version": Must, "interpreter.prefix": Noise, "interpreter.packages": Must,
	"interpreter.count": Must,
	"lock_files":        Likely,
	"facts":             Likely,
	"facts.glibc":       Likely,
	"facts.musl":        Likely,
	"facts.timezone":    Likely,
	"facts.locale":      Likely,
	"facts.umask":       Likely,
	"facts.uid":         Likely,
	"facts.shm_bytes":   Likely,
	"facts.container":   Likely,
	"facts.filesystem":  Likely,

	"facts.python_hash_seed": Must,
}

// Class gives the class of a field of schema.Environment by its JSON path: "cpu.features", "gpus[0].model", "variables.OMP_NUM_THREADS",
// "facts.glibc". A variable that no row of the table names was asked for with --env and so is Must. A field that nothing is known about is Likely.
func Class(field string) string {
	if name, ok := strings.CutPrefix(field, "variables."); ok {
		if class := variableClass(name); class != "" {
			return class
		}
		return Must
	}
	parts := strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	kept := parts[:0]
	for _, p := range parts {
		if strings.Trim(p, "0123456789") != "" {
			kept = append(kept, p)
		}
	}
	for n := len(kept); n > 0; n-- {
		if class, ok := classes[strings.Join(kept[:n], ".")]; ok {
			return class
		}
	}
	return Likely
}
