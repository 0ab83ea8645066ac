"""What an exception of torch means: too little memory, or a device that is lost for this process.

torch raises RuntimeError for nearly everything, so its words decide. After most errors of CUDA the context of the
process is gone and every later call fails alike (cuda_runtime_api.h calls them unrecoverable); a few only say that one
launch was wrong.
"""

import torch

from embedding_runtime.core.failures import DeviceBroken, OutOfMemory

# c10/core/impl/alloc_cpu.cpp; cudaErrorMemoryAllocation; what cuBLAS and cuDNN say of their own workspaces.
_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory: you tried to allocate",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_CUDA = ("CUDA error", "cuDNN error", "CUDA driver error")

# Errors of one launch, after which the context lives on: cudaErrorInvalidValue, InvalidConfiguration,
# LaunchOutOfResources, NoKernelImageForDevice, InvalidDeviceFunction, and calls that a library does not support.
_OF_ONE_LAUNCH = (
    "invalid argument",
    "invalid configuration argument",
    "too many resources requested for launch",
    "no kernel image is available",
    "invalid device function",
    "STATUS_NOT_SUPPORTED",
    "STATUS_INVALID_VALUE",
    "STATUS_BAD_PARAM",
)


def recognise(error: RuntimeError | MemoryError) -> OutOfMemory | DeviceBroken | None:
    """None: neither. The message is the library's first line, which tells of sizes and codes only."""
    text = str(error)
    first = text.partition("\n")[0]
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in text for words in _NO_MEMORY):
        return OutOfMemory(first or type(error).__name__)
    of_device = isinstance(error, torch.AcceleratorError) or any(words in text for words in _CUDA)
    if of_device and not any(words in text for words in _OF_ONE_LAUNCH):
        return DeviceBroken(first)
    return None
