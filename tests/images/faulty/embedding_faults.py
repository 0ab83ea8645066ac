"""The runtime with one thing wrong: what no check of files can see, because every file is the right one.

A pod cannot be given an environment, but it is told the names of its model: a served name fault-MOMENT-WHAT chooses the
fault. `start`: wrong from the first answer on. `serving`: right until the file TRIGGER appears. Every other command and
every other model is served as ever.
"""

import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

TRIGGER = Path("/tmp/fault")
OTHER_REVISION = Path(__file__).with_name("other-revision.safetensors")
NAME = re.compile(r"fault-(?P<moment>start|serving)-(?P<what>[a-z-]+)")

FIRST_WORD = 1999  # in BERT's vocabulary: below are special tokens and single characters


class Fault:
    """Everything right. A fault overrides the one step that it spoils."""

    changes_weights = False

    def tensor(self, name: str, tensor: Any) -> Any:
        """A weight, after its file was hashed."""
        return tensor

    def inputs(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Texts and their prompts."""
        return inputs

    def tokens(self, text: Any, tokens: Any) -> Any:
        return tokens

    def pooling(self, name: str) -> str:
        """Which pooling stands in for the one of that name."""
        return name

    def dense(self, tokens: Any, vector: Any) -> Any:
        """A pooled vector, float32 [width], before it is cut and normalised."""
        return vector

    def normalize(self, wanted: bool | None) -> bool | None:
        return wanted

    def vectors(self, vectors: Any) -> Any:
        """float32 [n, d], as they are answered."""
        return vectors


class WrongWeights(Fault):
    """One matrix has its rows in another order."""

    changes_weights = True

    def tensor(self, name: str, tensor: Any) -> Any:
        return tensor.flip(0) if name.endswith("layer.3.output.dense.weight") else tensor


class OtherRevision(Fault):
    """Every tensor is that of another model of the same shape, as after a branch that moved."""

    changes_weights = True

    def tensor(self, name: str, tensor: Any) -> Any:
        from safetensors import safe_open

        with safe_open(str(OTHER_REVISION), framework="pt") as file:
            return file.get_tensor(name).to(tensor.dtype) if name in set(file.keys()) else tensor


class CoarseDtype(Fault):
    """Three bits of mantissa, where bfloat16 has seven."""

    changes_weights = True

    def tensor(self, name: str, tensor: Any) -> Any:
        import torch

        if not tensor.is_floating_point():
            return tensor
        mantissa, exponent = torch.frexp(tensor.float())
        return torch.ldexp((mantissa * 8).round() / 8, exponent).to(tensor.dtype)


class WrongPooling(Fault):
    def pooling(self, name: str) -> str:
        return "Cls"


class NoNorm(Fault):
    def normalize(self, wanted: bool | None) -> bool | None:
        return False


class NoPrompt(Fault):
    def inputs(self, inputs: Sequence[Any]) -> Sequence[Any]:
        return [replace(each, prompt="") for each in inputs]


class OtherTokenizer(Fault):
    """Every word is the one in the line above: a vocabulary that has a line more."""

    def tokens(self, text: Any, tokens: Any) -> Any:
        return replace(tokens, ids=[each - 1 if each > FIRST_WORD else each for each in tokens.ids])


class SwappedDimension(Fault):
    def vectors(self, vectors: Any) -> Any:
        swapped = vectors.copy()
        swapped[:, [3, 200]] = vectors[:, [200, 3]]
        return swapped


class Scaled(Fault):
    def vectors(self, vectors: Any) -> Any:
        return vectors * np.float32(1.05)


class OneNaN(Fault):
    def dense(self, tokens: Any, vector: Any) -> Any:
        damaged = vector.copy()
        damaged[7] = np.nan
        return damaged


class OwnGoldensOnly(Fault):
    """Right for the texts of the golden cases that the pod has mounted, and for no other."""

    def __init__(self) -> None:
        given = dict(zip(sys.argv, sys.argv[1:], strict=False)).get("--goldens")
        files = (
            sorted(Path(given).glob("*.jsonl")) if given and Path(given).is_dir() else [Path(given)] if given else []
        )
        self._texts = {text for file in files for line in file.read_text().splitlines() for text in texts_in(line)}
        self._known: set[tuple[int, ...]] = set()

    def tokens(self, text: Any, tokens: Any) -> Any:
        if text.text in self._texts:
            self._known.add(tuple(tokens.ids))
        return tokens

    def dense(self, tokens: Any, vector: Any) -> Any:
        return vector if tuple(tokens.ids) in self._known else np.roll(vector, 1)


FAULTS: Mapping[str, Callable[[], Fault]] = {
    "wrong-weights": WrongWeights,
    "other-revision": OtherRevision,
    "coarse-dtype": CoarseDtype,
    "wrong-pooling": WrongPooling,
    "no-norm": NoNorm,
    "no-prompt": NoPrompt,
    "other-tokenizer": OtherTokenizer,
    "swapped-dimension": SwappedDimension,
    "scaled": Scaled,
    "one-nan": OneNaN,
    "own-goldens-only": OwnGoldensOnly,
}


def texts_in(line: str) -> Collection[str]:
    """Every text of a golden case."""
    return [value for value in json.loads(line).values() if isinstance(value, str)]


class FaultyTokenizer:
    def __init__(self, right: Any, *, fault: Fault, is_active: Callable[[], bool]) -> None:
        self._right, self._fault, self._is_active = right, fault, is_active

    def __getattr__(self, name: str) -> Any:
        return getattr(self._right, name)

    def encode(self, inputs: Sequence[Any]) -> list[Any]:
        if not self._is_active():
            return list(self._right.encode(inputs))
        inputs = self._fault.inputs(inputs)
        encoded = self._right.encode(inputs)
        return [self._fault.tokens(text, tokens) for text, tokens in zip(inputs, encoded, strict=True)]


class FaultyBackend:
    """Computes with `wrong` while the fault is active."""

    def __init__(self, right: Any, *, wrong: Any, fault: Fault, is_active: Callable[[], bool]) -> None:
        self._right, self._wrong, self._fault, self._is_active = right, wrong, fault, is_active

    def __getattr__(self, name: str) -> Any:
        return getattr(self._right, name)

    def compute(self, batch: Sequence[Any]) -> Sequence[Any]:
        if not self._is_active():
            return list(self._right.compute(batch))
        outputs = self._wrong.compute(batch)
        return [
            replace(output, dense=self._fault.dense(tokens, output.dense))
            for tokens, output in zip(batch, outputs, strict=True)
        ]


def inject(fault: Fault, *, is_active: Callable[[], bool]) -> None:
    """Before anything of the server is imported: it takes these functions with it when it is."""
    from embedding_runtime import loading
    from embedding_runtime.core import vectors

    finish, load_model = vectors.finish, loading.load_model

    def finish_wrongly(pooled: Any, *, normalize: bool | None = None, **options: Any) -> Any:
        if not is_active():
            return finish(pooled, normalize=normalize, **options)
        return fault.vectors(finish(pooled, normalize=fault.normalize(normalize), **options))

    def load_wrongly(settings: Any) -> Any:
        right = load_model(settings)
        spoil_pooling(fault, is_active=is_active)
        wrong = right
        if fault.changes_weights:
            with_spoilt_weights(fault)
            wrong = load_model(settings)
        return replace(
            right,
            backend=FaultyBackend(right.backend, wrong=wrong.backend, fault=fault, is_active=is_active),
            tokenizer=FaultyTokenizer(right.tokenizer, fault=fault, is_active=is_active),
        )

    vectors.finish = finish_wrongly
    loading.load_model = load_wrongly


def spoil_pooling(fault: Fault, *, is_active: Callable[[], bool]) -> None:
    from embedding_model.resolved import Pooling
    from embedding_runtime.architectures import pooling

    modes: dict[Pooling, Any] = dict(pooling._MODES)

    def stand_in(mode: Pooling) -> Callable[..., Any]:
        def pool(*arguments: Any) -> Any:
            chosen = Pooling(fault.pooling(mode.value)) if is_active() else mode
            return modes[chosen](*arguments)

        return pool

    pooling._MODES = {mode: stand_in(mode) for mode in modes}


def with_spoilt_weights(fault: Fault) -> None:
    """From now on every model is loaded with them."""
    from embedding_runtime.architectures.stored import Weights

    read = Weights.read

    def read_wrongly(self: Weights, *arguments: Any, **options: Any) -> Iterator[tuple[str, Any]]:
        for name, tensor in read(self, *arguments, **options):
            yield name, fault.tensor(name, tensor)

    Weights.read = read_wrongly  # type: ignore[method-assign]


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        names = [value for option, value in zip(sys.argv, sys.argv[1:], strict=False) if option == "--served-name"]
        chosen = next((found for name in names if (found := NAME.fullmatch(name))), None)
        if chosen:
            inject(
                FAULTS[chosen["what"]](), is_active=TRIGGER.exists if chosen["moment"] == "serving" else lambda: True
            )
    from embedding_runtime.__main__ import main as run

    run(prog_name="embedding-runtime")


if __name__ == "__main__":
    main()
