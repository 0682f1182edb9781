package schema

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// What of an environment decides whether results can be equal bit for bit, and what may (the notes on reproducibility of PyTorch, cuBLAS,
// cuDNN, NCCL and oneDNN). A new fact belongs into one of these tables.

// environmentFields are the facts that every environment has a place for, in order of consequence.
var environmentFields = []struct {
	name  string
	class Class
	get   func(Environment) Text
}{
	{"gpu_model", ClassMust, gpuText(func(g GPU) string { return g.Model })},
	{"gpu_compute_capability", ClassMust, gpuText(func(g GPU) string { return g.ComputeCapability })},
	{"gpu_mig", ClassMust, gpuText(func(g GPU) string { return g.MIG })}, // a slice has fewer multiprocessors, so other kernels
	{"gpu_driver_major", ClassMust, func(e Environment) Text { major, _, _ := strings.Cut(e.GPUDriver, "."); return Text(major) }},
	{"arch", ClassMust, func(e Environment) Text { return Text(e.OS.Arch) }},
	{"cpu_vendor", ClassMust, func(e Environment) Text { return Text(e.CPU.Vendor) }},
	{"cpu_features", ClassMust, func(e Environment) Text { return Text(strings.Join(e.CPU.Features, " ")) }}, // they choose the kernels
	{"cpu_usable", ClassMust, func(e Environment) Text { return countText(e.CPU.Usable) }},                   // the default number of threads
	{"cpu_quota", ClassMust, func(e Environment) Text { return Text(e.CPU.Quota) }},
	{"interpreter_version", ClassMust, interpreterText(func(i Interpreter) Text { return Text(i.Version) })},
	{"interpreter_kind", ClassMust, interpreterText(func(i Interpreter) Text { return Text(i.Kind) })},
	{"gpu_driver", ClassLikely, func(e Environment) Text { return Text(e.GPUDriver) }},
	{"cuda", ClassLikely, func(e Environment) Text { return Text(e.CUDA) }}, // what the driver supports; the libraries are packages
	{"gpu_ecc", ClassLikely, gpuText(func(g GPU) string { return g.ECC })},
	{"gpu_memory", ClassLikely, gpuText(func(g GPU) string { return strconv.FormatInt(g.MemoryMiB, 10) })},
	{"gpu_vbios", ClassLikely, gpuText(func(g GPU) string { return g.VBIOS })},
	{"cpu_model", ClassLikely, func(e Environment) Text { return Text(e.CPU.Model) }},
	{"cpu_logical", ClassLikely, func(e Environment) Text { return countText(e.CPU.Logical) }},
	{"os", ClassLikely, func(e Environment) Text { return Text(strings.TrimSpace(e.OS.Name + " " + e.OS.Version)) }},
	{"kernel", ClassLikely, func(e Environment) Text { return Text(e.OS.Kernel) }},
	{"memory_limit", ClassLikely, func(e Environment) Text { return countText(int(e.MemoryLimit)) }},
	{"memory", ClassNoise, func(e Environment) Text { return countText(int(e.MemoryBytes)) }},
	{"interpreter_path", ClassNoise, interpreterText(func(i Interpreter) Text { return i.Path })},
	{"interpreter_prefix", ClassNoise, interpreterText(func(i Interpreter) Text { return i.Prefix })},
	{"os_pretty", ClassNoise, func(e Environment) Text { return Text(e.OS.Pretty) }},
	{"gpu_uuid", ClassNoise, gpuText(func(g GPU) string { return g.UUID })},
	{"gpu_pci", ClassNoise, gpuText(func(g GPU) string { return g.PCI })},
	{"gpu_index", ClassNoise, gpuText(func(g GPU) string { return strconv.Itoa(g.Index) })},
	{"node", ClassNoise, func(e Environment) Text { return Text(e.Node) }},
}

// classRule gives the class of a name that matches a pattern of path.Match; the first that matches counts, and else likely.
type classRule struct {
	pattern string
	class   Class
}

var factClasses = []classRule{
	{"python_hash_seed", ClassMust}, {"nccl", ClassMust}, {"cudnn", ClassMust}, {"cublas", ClassMust}, {"blas", ClassMust}, {"threads", ClassMust},
	{"hostname", ClassNoise}, {"uid", ClassNoise}, {"umask", ClassNoise},
}

var variableClasses = []classRule{
	{"PYTHONHASHSEED", ClassMust}, {"CUBLAS_*", ClassMust}, {"CUDNN_*", ClassMust}, {"NVIDIA_TF32_OVERRIDE", ClassMust}, {"NCCL_*", ClassMust}, {"TORCH_*", ClassMust},
	{"PYTORCH_*", ClassMust}, {"TF_*", ClassMust}, {"XLA_*", ClassMust}, {"JAX_*", ClassMust}, {"MKL_*", ClassMust}, {"ONEDNN_*", ClassMust}, {"DNNL_*", ClassMust}, {"OMP_*", ClassMust},
	{"KMP_*", ClassMust}, {"OPENBLAS_*", ClassMust}, {"NUMEXPR_*", ClassMust}, {"VECLIB_*", ClassMust}, {"CUDA_*", ClassMust}, {"WORLD_SIZE", ClassMust},
}

// numericPackages take part in the arithmetic of most trainings: another version gives other bits.
var numericPackages = []classRule{
	{"torch*", ClassMust}, {"tensorflow*", ClassMust}, {"jax*", ClassMust}, {"numpy", ClassMust}, {"scipy", ClassMust}, {"pandas", ClassMust}, {"scikit-learn", ClassMust},
	{"nvidia-*", ClassMust}, {"cuda*", ClassMust}, {"cudnn*", ClassMust}, {"libcudnn*", ClassMust}, {"libcublas*", ClassMust}, {"nccl*", ClassMust}, {"libnccl*", ClassMust},
	{"mkl*", ClassMust}, {"intel-*", ClassMust}, {"openblas*", ClassMust}, {"libopenblas*", ClassMust}, {"blas*", ClassMust}, {"triton*", ClassMust}, {"transformers", ClassMust},
	{"tokenizers", ClassMust}, {"accelerate", ClassMust}, {"deepspeed", ClassMust}, {"flash*attn*", ClassMust}, {"xgboost*", ClassMust}, {"lightgbm*", ClassMust}, {"catboost", ClassMust},
}

func classByName(rules []classRule, name string) Class {
	for _, r := range rules {
		if ok, _ := path.Match(r.pattern, name); ok {
			return r.class
		}
	}
	return ClassLikely
}

func gpuText(get func(GPU) string) func(Environment) Text {
	return func(e Environment) Text {
		var all []string
		for _, g := range e.GPUs {
			all = append(all, get(g))
		}
		return Text(strings.Join(all, ", "))
	}
}

func interpreterText(get func(Interpreter) Text) func(Environment) Text {
	return func(e Environment) Text {
		if e.Interpreter == nil {
			return ""
		}
		return get(*e.Interpreter)
	}
}

func countText(n int) Text {
	if n == 0 {
		return ""
	}
	return Text(strconv.Itoa(n))
}

// environments compares node by node, in the order of their lowest ranks. What all pairs of nodes differ in is said once.
func (c *comparing) environments() {
	a, b := byRank(c.a.Environments), byRank(c.b.Environments)
	if len(a) == 0 || len(b) == 0 {
		if len(a)+len(b) > 0 {
			which := either(len(a) == 0, len(b) == 0)
			c.unproven("environment", "environment", ClassLikely, countText(len(a)), countText(len(b)), "environment: what "+which+" ran on is not known")
		}
		return
	}
	c.differ("environment", "nodes", ClassMust, false, countText(len(a)), countText(len(b)))
	c.differ("environment", "ranks", ClassMust, false, countText(ranksOf(a)), countText(ranksOf(b)))
	said := map[[3]string]bool{}
	once := func(field string, a, b Text) bool {
		key := [3]string{field, string(a), string(b)}
		defer func() { said[key] = true }()
		return !said[key]
	}
	for i := range min(len(a), len(b)) {
		c.environment(a[i], b[i], once)
	}
}

func byRank(all []Environment) []Environment {
	all = slices.Clone(all)
	lowest := func(e Environment) int {
		if len(e.Ranks) == 0 {
			return -1
		}
		return e.Ranks[0]
	}
	slices.SortStableFunc(all, func(a, b Environment) int { return cmp.Compare(lowest(a), lowest(b)) })
	return all
}

func ranksOf(all []Environment) int {
	seen := map[int]bool{}
	for _, e := range all {
		for _, r := range e.Ranks {
			seen[r] = true
		}
	}
	return len(seen)
}

func (c *comparing) environment(a, b Environment, once func(field string, a, b Text) bool) {
	for _, f := range environmentFields {
		if x, y := f.get(a), f.get(b); x != y && once(f.name, x, y) {
			c.differ("environment", f.name, f.class, false, x, y)
		}
	}
	for _, k := range keysOf(a.Facts, b.Facts) {
		if x, y := Text(a.Facts[k]), Text(b.Facts[k]); x != y && once("fact."+k, x, y) {
			c.differ("environment", k, classByName(factClasses, k), false, x, y)
		}
	}
	for _, k := range keysOf(a.Variables, b.Variables) {
		if x, y := a.Variables[k], b.Variables[k]; x != y && once("variable."+k, x, y) && c.a.Variables[k] == c.b.Variables[k] {
			c.differ("environment", "variable "+k, classByName(variableClasses, k), false, x, y)
		}
	}
	locks := func(e Environment) map[string]Digest {
		out := map[string]Digest{}
		for _, l := range e.LockFiles {
			out[string(l.Path)] = l.Digest
		}
		return out
	}
	if items := mapItems(locks(a), locks(b)); len(items) > 0 && once("lock_files", items[0].Name, Text(strconv.Itoa(len(items)))) {
		c.items("environment", "lock_files", ClassLikely, false, "lock file", items, 0)
	}
	c.packages(a.Interpreter, b.Interpreter, once)
}

// packages compares what is installed for the interpreters. Another version of a package that takes part in the arithmetic must not be.
func (c *comparing) packages(a, b *Interpreter, once func(field string, a, b Text) bool) {
	if a == nil || b == nil || a.Packages == nil && b.Packages == nil {
		return
	}
	if a.Packages == nil || b.Packages == nil {
		which := either(a.Packages == nil, b.Packages == nil)
		if once("packages", "", Text(which)) {
			c.unproven("packages", "packages", ClassLikely, countText(a.Count), countText(b.Count), "packages: what was installed for "+which+" is not known")
		}
		return
	}
	if a.Packages.Digest == b.Packages.Digest || !once("packages", Text(a.Packages.Digest), Text(b.Packages.Digest)) {
		return
	}
	whole := Difference{Subject: "packages", Field: "packages", Class: ClassLikely, A: Text(a.Packages.Digest), B: Text(b.Packages.Digest),
		Text: fmt.Sprintf("packages: the installed packages differ (%d and %d)", a.Count, b.Count)}
	var lists [2]map[string]Text
	for i, ref := range []*BlobRef{a.Packages, b.Packages} {
		content, ok := c.readAll("packages", ref, maxPackagesBytes)
		if !ok {
			c.add(whole)
			return
		}
		var err error
		if lists[i], err = readPackages(content); err != nil {
			c.reason("blob-unread", "packages", "a list of packages cannot be read: "+err.Error())
			c.add(whole)
			return
		}
	}
	var must, likely []DifferenceItem
	for _, i := range mapItems(lists[0], lists[1]) {
		_, name, _ := strings.Cut(string(i.Name), " ")
		if classByName(numericPackages, strings.ToLower(name)) == ClassMust {
			must = append(must, i)
		} else {
			likely = append(likely, i)
		}
	}
	c.items("packages", "numeric", ClassMust, false, "package", must, 0)
	c.items("packages", "other", ClassLikely, false, "package", likely, 0)
}
