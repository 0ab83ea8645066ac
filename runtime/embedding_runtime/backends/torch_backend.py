"""torch on a CPU or a CUDA device."""

from collections.abc import Sequence
from typing import cast

import orjson
import torch

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Serving
from embedding_runtime.architectures.encoder import CONFIG, Encoder, load_encoder
from embedding_runtime.core.jobs import Tokens, Vectors
from embedding_runtime.files import Files
from embedding_runtime.settings import Device, Dtype

_DTYPES = {Dtype.FLOAT32: torch.float32, Dtype.BFLOAT16: torch.bfloat16, Dtype.FLOAT16: torch.float16}


class TorchBackend:
    """One encoder, shared by all workers: weights are read only."""

    def __init__(self, encoder: Encoder, *, device: torch.device, dtype: Dtype, vocabulary_size: int | None) -> None:
        self._encoder = encoder
        self.device = device.type
        self.dtype = dtype.value
        self.path = encoder.name
        self.vocabulary_size = vocabulary_size

    def prepare_thread(self) -> None:
        # One thread per batch: threads that share each product wait for the slowest at a hundred barriers a batch.
        torch.set_num_threads(1)

    def embed(self, batch: Sequence[Tokens]) -> Vectors:
        return cast(Vectors, self._encoder.embed(batch).cpu().numpy())


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
    files: Files, *, inspection: Inspection, serving: Serving, device: torch.device, dtype: Dtype
) -> TorchBackend:
    """Raises Refusal for a model that cannot be loaded exactly as its files say."""
    chosen = Dtype.FLOAT32 if dtype is Dtype.AUTO else dtype
    if device.type == "cuda":
        # TF32 would change the numbers without a word; float32 means float32.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    encoder = load_encoder(files, inspection=inspection, serving=serving, device=device, dtype=_DTYPES[chosen])
    # The weights were checked against this number: the table of embeddings has as many rows.
    vocabulary_size = orjson.loads(files[CONFIG]).get("vocab_size")
    return TorchBackend(encoder, device=device, dtype=chosen, vocabulary_size=vocabulary_size)
