package schema

import "slices"

// Environment is what one node looked like to a run (standards: driver, CUDA, CPU features and thread variables decide whether
// results can be equal bit for bit). ID is given by [Environment.Identity], so equal nodes share it.
type Environment struct {
	ID          Digest            `json:"id"`
	Node        string            `json:"node,omitempty"`
	Ranks       []int             `json:"ranks,omitempty"`
	OS          OS                `json:"os,omitzero"`
	CPU         CPU               `json:"cpu,omitzero"`
	MemoryBytes int64             `json:"memory_bytes,omitempty"`
	MemoryLimit int64             `json:"memory_limit_bytes,omitempty"` // of the control group, when lower
	GPUs        []GPU             `json:"gpus,omitempty"`
	GPUDriver   string            `json:"gpu_driver,omitempty"`
	CUDA        string            `json:"cuda,omitempty"` // highest version that the driver supports
	Variables   map[string]Text   `json:"variables,omitempty"`
	Interpreter *Interpreter      `json:"interpreter,omitempty"`
	LockFiles   []LockFile        `json:"lock_files,omitempty"`
	Facts       map[string]string `json:"facts,omitempty"` // further facts by name: glibc, timezone, locale, umask, shm_bytes, container, filesystem, python_hash_seed
	Reasons     []Reason          `json:"reasons,omitempty"`
}

// Identity gives the ID of the environment: the SHA-256 of its canonical JSON without the members id, node and ranks, and without what names
// the very device instead of its kind (uuid and pci of the GPUs).
func (e Environment) Identity() (Digest, error) {
	e.Node, e.Ranks = "", nil
	e.GPUs = slices.Clone(e.GPUs)
	for i := range e.GPUs {
		e.GPUs[i].UUID, e.GPUs[i].PCI = "", ""
	}
	b, err := Canonical(struct {
		ID string `json:"id,omitempty"` // hides the embedded one
		Environment
	}{Environment: e})
	if err != nil {
		return "", err
	}
	return SHA256(b), nil
}

// OS is an operating system and its kernel.
type OS struct {
	Name    string `json:"name,omitempty"`    // debian
	Version string `json:"version,omitempty"` // 12
	Pretty  string `json:"pretty,omitempty"`
	Kernel  string `json:"kernel,omitempty"`
	Arch    string `json:"arch,omitempty"` // amd64
}

// CPU is the processor as the node shows it.
type CPU struct {
	Vendor   string   `json:"vendor,omitempty"`
	Model    string   `json:"model,omitempty"`
	Logical  int      `json:"logical,omitempty"`  // processors that exist
	Usable   int      `json:"usable,omitempty"`   // processors that the run may use (affinity)
	Quota    string   `json:"quota,omitempty"`    // of the control group, as processors in decimal
	Features []string `json:"features,omitempty"` // sorted; the ones that choose kernels of numeric libraries
}

// GPU is one accelerator.
type GPU struct {
	Index             int    `json:"index"`
	UUID              string `json:"uuid,omitempty"`
	Model             string `json:"model,omitempty"`
	ComputeCapability string `json:"compute_capability,omitempty"`
	MemoryMiB         int64  `json:"memory_mib,omitempty"`
	ECC               string `json:"ecc,omitempty"`
	MIG               string `json:"mig,omitempty"`
	VBIOS             string `json:"vbios,omitempty"`
	PCI               string `json:"pci,omitempty"`
}

// Interpreter is the program that a command resolves to, and what is installed for it.
type Interpreter struct {
	Path     Text     `json:"path"`
	Kind     string   `json:"kind,omitempty"` // python, conda, …
	Version  string   `json:"version,omitempty"`
	Prefix   Text     `json:"prefix,omitempty"`
	Packages *BlobRef `json:"packages,omitempty"` // lines "<kind> <name> <version> [<source>]\n", sorted
	Count    int      `json:"count,omitempty"`
}

// LockFile is a lock file in the checkout, by name and content.
type LockFile struct {
	Path   Text   `json:"path"`
	Digest Digest `json:"digest"`
}
