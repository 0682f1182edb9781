package schema

import (
	"slices"
	"time"
)

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

// Node names a machine and refers to the environment there, which [SharedEnvironment] describes: however many ranks see equal environments, they are
// written down once.
type Node struct {
	Name        string `json:"name,omitempty"`
	Environment Digest `json:"environment"`
	GPUs        []GPU  `json:"gpus,omitempty"` // index, uuid and pci of the very devices
}

// SharedEnvironment splits what a rank saw of its node into a document that is the same for every rank of the run which sees an equal environment, so that
// saving it again changes nothing, and what is the node's own. The document's id and time follow from the run and the environment.
func SharedEnvironment(run RunID, e Environment) (Document, Node, error) {
	node := Node{Name: e.Node}
	e.Node, e.Ranks = "", nil
	e.GPUs = slices.Clone(e.GPUs)
	for i, g := range e.GPUs {
		if g.UUID != "" || g.PCI != "" {
			node.GPUs = append(node.GPUs, GPU{Index: g.Index, UUID: g.UUID, PCI: g.PCI})
		}
		e.GPUs[i].UUID, e.GPUs[i].PCI = "", ""
	}
	id, err := e.Identity()
	if err != nil {
		return Document{}, node, err
	}
	e.ID, node.Environment = id, id
	at := run.Time()
	if at.IsZero() {
		at = At(time.Unix(0, 0))
	}
	return Document{Schema: SchemaV1, Kind: KindObservation, ID: DeriveDocumentID(at, "environment", string(run), string(id)), Run: run, At: at,
		Reporter: Reporter{Kind: "joiner"}, Observation: &Observation{Environment: &e}}, node, nil
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
