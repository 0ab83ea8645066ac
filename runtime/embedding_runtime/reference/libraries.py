"""The libraries, and what they cannot do, in this program's words."""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.gguf_model import FORMAT as GGUF_FORMAT
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import Inspection
from embedding_runtime.settings import Device

FIELD = "verification.reference"
_ADVICE = f"Set {FIELD} to Off, or write golden cases of your own beside it"
_MOST_CHARACTERS = 300  # of a library's message
_NAMES = ("sentence-transformers", "transformers", "torch")

# Loading from files alone, in the numbers that are the reference: what half precision loses is the gate's to judge.
FROM_FILES: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
IN_FLOAT32: Mapping[str, Any] = {"dtype": torch.float32}


def describe_implementation() -> str:
    """The libraries and their versions."""
    return ", ".join(f"{name} {version(name)}" for name in _NAMES)


def pick_device(wanted: Device) -> torch.device:
    """Raises Refusal(DEVICE_UNAVAILABLE) when CUDA is asked for and torch sees no device."""
    if wanted is Device.CPU or (wanted is Device.AUTO and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise Refusal(
            Reason.DEVICE_UNAVAILABLE,
            f"A CUDA device was asked for, but torch {torch.__version__} finds none. Run the reference on a node with "
            "a GPU, or on cpu.",
        )
    return torch.device("cuda")


def require_class(inspection: Inspection) -> None:
    """Raises Refusal: UNSUPPORTED_FORMAT for GGUF, UNSUPPORTED_ARCHITECTURE where transformers has no class.

    Without this the library would load the nearest class that config.json names, and leave some of it random.
    """
    if inspection.weights.format == GGUF_FORMAT:
        raise refuse(
            Reason.UNSUPPORTED_FORMAT,
            "The model is a GGUF file, whose vectors sentence-transformers does not compute: there is no reference.",
        )
    name = FAMILIES[inspection.family].architecture
    if not hasattr(transformers, name):
        raise refuse(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"transformers {transformers.__version__} has no class for this architecture ({inspection.family}), which "
            "this runtime computes by itself: there is no reference to hold it to.",
        )


def require_complete(report: Mapping[str, Any], *, unused: tuple[str, ...] = ()) -> None:
    """Raises Refusal(INCOMPLETE_WEIGHTS) where loading left tensors of the network random.

    `report` is what from_pretrained tells with output_loading_info; `unused` are parts of names of tensors that no
    answer depends on.
    """
    names = {str(name) for name in report.get("missing_keys", ())}
    names |= {str(item[0] if isinstance(item, tuple) else item) for item in report.get("mismatched_keys", ())}
    random = sorted(name for name in names if not any(part in name for part in unused))
    if random:
        shown = ", ".join(random[:3]) + (" ..." if len(random) > 3 else "")
        raise refuse(
            Reason.INCOMPLETE_WEIGHTS,
            f"transformers {transformers.__version__} finds no weights for {len(random)} tensors of its class "
            f"({shown}) in these files and would make them up: there is no reference.",
        )


def require_finite(values: npt.NDArray[np.float32]) -> None:
    """Raises Refusal(INVALID_FILE) for NaN and infinity, which no golden case can hold."""
    if not np.isfinite(values).all():
        raise refuse(
            Reason.INVALID_FILE,
            "The reference implementation answers with NaN or infinity in float32: the model's weights are broken.",
        )


@contextlib.contextmanager
def loading(inspection: Inspection) -> Iterator[None]:
    """Around all that loads a model. What the libraries cannot load is a Refusal, never an approximation.

    Raises Refusal: REMOTE_CODE_REQUIRED, UNSUPPORTED_ARCHITECTURE; Unavailable for what may heal: memory, a volume.
    """
    require_class(inspection)
    try:
        with computing():
            yield
    except (Refusal, Unavailable):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise Unavailable(f"The model's files cannot be read: {error.strerror}.") from error
        written = " ".join(str(error).split())
        if "trust_remote_code" in written:
            raise refuse(
                Reason.REMOTE_CODE_REQUIRED,
                "The libraries load this model by code of its own repository only, which is never run: there is no "
                "reference.",
            ) from error
        raise refuse(
            Reason.UNSUPPORTED_ARCHITECTURE,
            "The reference implementation cannot load this model "
            f"({type(error).__name__}: {written[:_MOST_CHARACTERS]}).",
        ) from error


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Around every call of the libraries: without their own deprecation warnings, which no user can act on.

    Raises Unavailable where memory runs out: another pod may have more.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise Unavailable(
                "The reference implementation, which computes in float32, ran out of memory: give its pod more."
            ) from error


def refuse(reason: Reason, message: str) -> Refusal:
    """A Refusal that says what to do without a reference."""
    return Refusal(reason, f"{message} {_ADVICE}.", field=FIELD)
