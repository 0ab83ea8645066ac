"""torch on a CPU or a CUDA device."""

from collections.abc import Sequence

import torch

from embedding_model.dtypes import require_dtype
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Quantization, Serving
from embedding_runtime.architectures.models import Model, load_model
from embedding_runtime.architectures.network import read_config
from embedding_runtime.backends.lone_texts import LoneTexts
from embedding_runtime.backends.torch_failures import recognise
from embedding_runtime.core.failures import OutOfMemory
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.files import Files, files_in
from embedding_runtime.memory import giving_memory_back
from embedding_runtime.settings import Device, Dtype

_DTYPES = {Dtype.FLOAT32: torch.float32, Dtype.BFLOAT16: torch.bfloat16, Dtype.FLOAT16: torch.float16}


class TorchBackend:
    """One model, shared by all workers: weights are read only."""

    def __init__(
        self, model: Model, *, device: torch.device, dtype: Dtype, vocabulary_size: int | None, threads: int = 1
    ) -> None:
        self._model = model
        self._lone_texts = LoneTexts(threads=threads, set_threads=torch.set_num_threads)
        self.device = device.type
        self.dtype = dtype.value
        self.path = model.name
        self.vocabulary_size = vocabulary_size
        # Of the GPU, after loading; None on a CPU, where the whole process is measured.
        on_gpu = device.type == "cuda"
        self.peak_bytes = torch.cuda.max_memory_allocated(device) if on_gpu else None
        self.resident_bytes = torch.cuda.memory_allocated(device) if on_gpu else None

    def count_computed(self, lengths: Sequence[int]) -> int:
        return self._model.count_computed(lengths)

    def prepare_thread(self) -> None:
        # One thread per batch, see lone_texts.
        torch.set_num_threads(1)

    def compute(self, batch: Sequence[Tokens]) -> Sequence[Output]:
        try:
            with self._lone_texts.computing(batch):
                return self._model.compute(batch)
        except (RuntimeError, MemoryError) as error:
            failure = recognise(error)
            if failure is None:
                raise
        # Outside of the handler: what the batch held comes free with the exception that is gone now.
        if isinstance(failure, OutOfMemory) and self.device == "cuda":
            torch.cuda.empty_cache()
        raise failure


def pick_device(wanted: Device) -> torch.device:
    """Raises Refusal(DEVICE_UNAVAILABLE) when CUDA is asked for and torch sees no device."""
    if wanted is Device.CPU:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if wanted is Device.CUDA:
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise Refusal(
            Reason.DEVICE_UNAVAILABLE,
            f"A CUDA device was asked for, but torch {torch.__version__} ({built}) finds none. "
            "Use an image with CUDA on a node with a GPU and request nvidia.com/gpu, or serve on cpu.",
        )
    return torch.device("cpu")


def load_backend(
    files: Files, *, inspection: Inspection, serving: Serving, device: torch.device, dtype: Dtype, threads: int = 1
) -> TorchBackend:
    """`files` are all files of the model; `threads` may share one long text on a CPU.

    Raises Refusal for a model that cannot be loaded exactly as they say, and INVALID_OVERRIDE for a dtype that is known
    to give wrong numbers with its family or quantisation.
    """
    chosen = _choose_dtype(dtype, quantization=serving.quantization)
    require_dtype(inspection, dtype=chosen)
    if device.type == "cuda":
        # TF32 would change the numbers without a word; float32 means float32.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    with giving_memory_back():
        model = load_model(files, inspection=inspection, serving=serving, device=device, dtype=_DTYPES[chosen])
    # The weights were checked against this number: the table of embeddings has as many rows.
    vocabulary_size = read_config(files_in(files, folder=inspection.folder)).get("vocab_size")
    threads = 1 if device.type == "cuda" else threads
    return TorchBackend(model, device=device, dtype=chosen, vocabulary_size=vocabulary_size, threads=threads)


def _choose_dtype(dtype: Dtype, *, quantization: Quantization) -> Dtype:
    if dtype is not Dtype.AUTO:
        return dtype
    return Dtype.BFLOAT16 if quantization is Quantization.INT4 else Dtype.FLOAT32
