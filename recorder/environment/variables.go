package environment

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/runpin/runpin/recorder/redact"
	"github.com/runpin/runpin/schema"
)

// The classes of a variable: what may be recorded of it, and what enters the fingerprint. How much a difference matters is said by schema.Compare.
const (
	Must   = "must"   // has to match for equal bits
	Likely = "likely" // can change the result
	Noise  = "noise"  // cannot
)

// variables says of environment variables whether they can determine a result. A * at the end makes a prefix; the longest row that fits
// rules, so a longer row is an exception. What no row names, and noise, is not recorded: the list is an allow-list. Rows of class must
// enter the fingerprint; a variable that only says where something lies or how much is logged must not.
//
// Sources: PyTorch "Reproducibility", cuBLAS and cuDNN manuals on reproducibility, NCCL, oneDNN, oneMKL, XLA and TensorFlow documentation.
var variables = map[string]string{
	"PYTHONHASHSEED": Must, "PYTHONOPTIMIZE": Must, "SEED": Must, "RANDOM_SEED": Must, "GLOBAL_SEED": Must, "PL_GLOBAL_SEED": Must, "PL_SEED_WORKERS": Must,
	"WORLD_SIZE": Must, "LOCAL_WORLD_SIZE": Must, "GLIBC_TUNABLES": Must, "KERAS_BACKEND": Must, "ATEN_CPU_CAPABILITY": Must,

	"CUBLAS_WORKSPACE_CONFIG": Must, "CUBLASLT_*": Must, "CUBLAS_*": Must, "CUDNN_*": Must, "NVIDIA_TF32_OVERRIDE": Must, "NVTE_*": Must,
	"CUDNN_LOG*": Noise, "CUBLAS_LOG*": Noise, "CUBLASLT_LOG*": Noise, "NVTE_DEBUG*": Noise,
	"CUDA_*": Must, "CUDA_VISIBLE_DEVICES": Likely, "CUDA_DEVICE_ORDER": Likely, "CUDA_VERSION": Likely, "CUDA_HOME": Noise, "CUDA_PATH*": Noise, "CUDA_PKG_VERSION": Likely, "CUDA_ROOT": Noise,
	"CUDA_CACHE_*": Noise, "CUDA_MPS_*": Likely, "CUDA_TOOLKIT_*": Noise, "CUDA_LAUNCH_BLOCKING": Must, "CUDA_BIN_PATH": Noise, "CUDA_MODULE_LOADING": Likely,
	"NVIDIA_VISIBLE_DEVICES": Likely, "NVIDIA_DRIVER_CAPABILITIES": Likely, "NVIDIA_REQUIRE_CUDA": Noise,

	"NCCL_*": Must, "NCCL_DEBUG*": Noise, "NCCL_SOCKET_IFNAME": Likely, "NCCL_IB_*": Likely, "NCCL_NET*": Likely, "NCCL_VERSION": Likely, "NCCL_COMM_ID": Noise,
	"NCCL_HOSTID": Noise, "NCCL_ASYNC_ERROR_HANDLING": Likely, "NCCL_BLOCKING_WAIT": Likely, "NCCL_CONF_FILE": Likely, "RCCL_*": Must, "GLOO_*": Likely,
	"UCX_*": Likely, "FI_*": Likely,

	"TORCH_*": Must, "TORCHINDUCTOR_*": Must, "TORCHDYNAMO_*": Must, "PYTORCH_*": Must, "TORCH_HOME": Noise, "TORCH_EXTENSIONS_DIR": Noise, "TORCH_LOGS*": Noise,
	"TORCH_SHOW_CPP_STACKTRACES": Noise, "TORCH_CPP_LOG_LEVEL": Noise, "TORCH_DISTRIBUTED_DEBUG": Likely, "TORCH_NCCL_TRACE*": Noise, "TORCH_NCCL_DUMP*": Noise,
	"TORCH_NCCL_DEBUG*": Noise, "TORCH_TRACE": Noise, "TORCH_CUDA_ARCH_LIST": Likely, "TORCHINDUCTOR_CACHE_DIR": Noise, "TORCH_COMPILE_DEBUG*": Noise,
	"PYTORCH_BUILD_*": Likely, "PYTORCH_VERSION": Likely, "PYTORCH_KERNEL_CACHE_PATH": Noise, "FLASH_ATTENTION_DETERMINISTIC": Must, "FLASH_ATTENTION_*": Likely,
	"ACCELERATE_*": Must, "ACCELERATE_LOG_LEVEL": Noise, "ACCELERATE_CONFIG_FILE": Noise, "XFORMERS_*": Likely, "BITSANDBYTES_*": Likely, "DS_*": Likely, "TRITON_*": Likely,
	"TRITON_CACHE_DIR": Noise, "TRITON_HOME": Noise,

	"TF_*": Must, "TF_CPP_*": Noise, "TF_CONFIG": Likely, "TF_FORCE_GPU_ALLOW_GROWTH": Likely, "TF_GPU_ALLOCATOR": Likely, "TF_GPU_THREAD_*": Likely,
	"TF_XLA_FLAGS": Must, "TF_DUMP_GRAPH_PREFIX": Noise,
	"TF_VAR_*": Noise, "TF_CLI_*": Noise, "TF_LOG*": Noise, "TF_WORKSPACE": Noise, "TF_IN_AUTOMATION": Noise, "TF_PLUGIN_CACHE_DIR": Noise, // Terraform's
	"XLA_FLAGS": Must, "XLA_*": Likely, "XLA_USE_BF16": Must, "LIBTPU_INIT_ARGS": Must, "TPU_*": Likely,
	"JAX_*": Must, "JAX_COMPILATION_CACHE_DIR": Noise, "JAX_COORDINATOR_*": Noise, "JAX_PROCESS_ID": Noise, "JAX_LOG*": Noise, "JAX_TRACEBACK_FILTERING": Noise,
	"JAX_DUMP_*": Noise, "JAX_NUM_PROCESSES": Must, "FLAX_*": Must, "PJRT_DEVICE": Must,

	"MKL_*": Must, "MKL_VERBOSE": Noise, "MKL_HOME": Noise, "OMP_*": Must, "OMP_DISPLAY_*": Noise, "GOMP_*": Must, "KMP_*": Must, "KMP_WARNINGS": Noise, "KMP_DUPLICATE_LIB_OK": Likely,
	"OPENBLAS_*": Must, "OPENBLAS_VERBOSE": Noise, "GOTO_NUM_THREADS": Must, "BLIS_*": Must, "VECLIB_MAXIMUM_THREADS": Must, "NUMEXPR_*": Must, "ONEDNN_*": Must, "ONEDNN_VERBOSE*": Noise,
	"DNNL_*": Must, "DNNL_VERBOSE*": Noise, "NUMBA_*": Likely, "NUMBA_NUM_THREADS": Must, "NUMBA_CACHE_DIR": Noise, "POLARS_MAX_THREADS": Must, "RAYON_NUM_THREADS": Must,
	"TBB_*": Likely, "OPENCV_*": Likely, "NPY_*": Must, "JULIA_NUM_THREADS": Must, "GOMAXPROCS": Likely,

	"HIP_*": Must, "HIP_VISIBLE_DEVICES": Likely, "HIP_PATH": Noise, "ROCR_VISIBLE_DEVICES": Likely, "HSA_OVERRIDE_GFX_VERSION": Must, "HSA_*": Likely, "MIOPEN_*": Must,
	"MIOPEN_USER_DB_PATH": Noise, "MIOPEN_CUSTOM_CACHE_DIR": Noise, "MIOPEN_LOG_LEVEL": Noise, "MIOPEN_ENABLE_LOGGING*": Noise, "ROCBLAS_*": Must, "HIPBLASLT_*": Must,
	"ZE_AFFINITY_MASK": Likely, "SYCL_*": Likely, "IPEX_*": Likely, "HABANA_*": Likely, "PT_HPU_*": Likely,

	"LD_PRELOAD": Likely, "LD_LIBRARY_PATH": Likely, "PYTHONPATH": Likely, "PYTHONHOME": Likely, "PYTHONNOUSERSITE": Likely, "PYTHONUTF8": Likely, "PYTHONIOENCODING": Likely,
	"PYTHONSAFEPATH": Likely, "VIRTUAL_ENV": Likely, "CONDA_PREFIX": Likely, "CONDA_DEFAULT_ENV": Likely,
	"LC_*": Likely, "LANG": Likely, "LANGUAGE": Likely, "TZ": Likely, "SOURCE_DATE_EPOCH": Must,
	"TOKENIZERS_PARALLELISM": Likely, "HF_HUB_OFFLINE": Likely, "HF_DATASETS_OFFLINE": Likely, "TRANSFORMERS_OFFLINE": Likely, "HF_ENDPOINT": Likely,
	"SLURM_NTASKS": Likely, "SLURM_NTASKS_PER_NODE": Likely, "SLURM_NNODES": Likely, "SLURM_CPUS_PER_TASK": Likely, "SLURM_GPUS_PER_NODE": Likely,
	"OMPI_COMM_WORLD_SIZE": Likely, "PMI_SIZE": Likely, "MALLOC_*": Likely, "VLLM_*": Likely, "WANDB_MODE": Likely,
}

// longest is the longest prefix in the table.
var longest = func() int {
	n := 0
	for row := range variables {
		n = max(n, len(row))
	}
	return n
}()

// variableClass gives the class of a variable, "" when no row names it.
func variableClass(name string) string {
	if class, ok := variables[name]; ok {
		return class
	}
	for n := min(len(name), longest); n > 0; n-- {
		if class, ok := variables[name[:n]+"*"]; ok {
			return class
		}
	}
	return ""
}

// Determining picks from a whole environment the variables that enter the fingerprint: those of class must and the extra ones, less those that
// hold a secret. An extra name that is not set is left out: "unset" is not "empty". A variable that only a prefix makes a must and that holds an
// absolute path (CUDA_DIR, MKL_ROOT, which clusters' modules set) says where something lies, and a fingerprint holds no places.
func Determining(env []string, extra []string) map[string]schema.Text {
	vars := splitEnv(env)
	picked, _ := pick(vars, func(name string) bool {
		if slices.Contains(extra, name) {
			return true
		}
		_, exact := variables[name]
		return variableClass(name) == Must && (exact || !filepath.IsAbs(vars[name]))
	})
	return picked
}

// recorded picks what an environment shows: must, likely and the extra ones. The reasons name what was withheld.
func recorded(vars map[string]string, extra []string) (map[string]schema.Text, []schema.Reason) {
	picked, withheld := pick(vars, func(name string) bool {
		class := variableClass(name)
		return class == Must || class == Likely || slices.Contains(extra, name)
	})
	var reasons []schema.Reason
	for _, name := range withheld {
		reasons = append(reasons, schema.Reason{Code: "withheld", Subject: schema.Text(name), Text: "the variable holds a secret and was not recorded"})
	}
	return picked, reasons
}

// maxVariable bounds one value; a longer one is no setting.
const maxVariable = 128 << 10

func pick(vars map[string]string, want func(name string) bool) (picked map[string]schema.Text, withheld []string) {
	for name, value := range vars {
		if !want(name) || !utf8.ValidString(name) || strings.HasPrefix(name, "RUNPIN_") {
			continue
		}
		if len(value) > maxVariable || redact.Variable(name, value) {
			withheld = append(withheld, name)
			continue
		}
		if picked == nil {
			picked = map[string]schema.Text{}
		}
		picked[name] = schema.Text(value)
	}
	slices.Sort(withheld)
	return picked, withheld
}
