"""What Jina BERT computes, in float64 and numpy, one text at a time: written from the papers, to compare with.

arXiv 2310.19923 (the model), arXiv 2108.12409 (ALiBi). It shares no code with the product.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = npt.NDArray[np.float64]


def alibi_slopes(heads: int) -> list[float]:
    """The recursion of the paper's own code: a geometric sequence, interleaved where `heads` is no power of two."""
    if heads & (heads - 1) == 0:
        ratio = 2 ** (-8 / heads)
        return [ratio**power for power in range(1, heads + 1)]
    below = 1 << (heads.bit_length() - 1)
    return alibi_slopes(below) + alibi_slopes(2 * below)[::2][: heads - below]


class Formula:
    """A folder's tensors and how they are used."""

    def __init__(self, folder: Path) -> None:
        stored = load_file(folder / "model.safetensors")
        self._tensors = {name.removeprefix("bert."): value.astype(np.float64) for name, value in stored.items()}
        self._config = json.loads((folder / "config.json").read_text())
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def tokenize(self, text: str, pair: str | None = None) -> tuple[list[int], list[int]]:
        """Ids and types."""
        encoding = self._tokenizer.encode(text, pair)
        return encoding.ids, encoding.type_ids

    def mean(self, text: str) -> Array:
        """The normalised mean of a text's hidden states."""
        vector = self.hidden_states(*self.tokenize(text)).mean(axis=0)
        return vector / np.sqrt((vector**2).sum())

    def logits(self, text: str, pair: str, *, types: bool = True) -> Array:
        """A pair's logits: the first token through pooler and classifier. Without `types` all tokens are of type 0."""
        ids, kinds = self.tokenize(text, pair)
        first = self.hidden_states(ids, kinds if types else [0] * len(ids))[0]
        return self._linear("classifier", np.tanh(self._linear("pooler.dense", first)))

    def hidden_states(self, ids: list[int], types: list[int], *, rows: Sequence[int] | None = None) -> Array:
        """[tokens, width]; of the tokens in `rows` alone, which makes the last layer of a long text affordable."""
        words = self._tensors["embeddings.word_embeddings.weight"][ids]
        hidden = self._norm(
            "embeddings.LayerNorm", words + self._tensors["embeddings.token_type_embeddings.weight"][types]
        )
        every, layers = list(range(len(ids))), self._config["num_hidden_layers"]
        for number in range(layers):
            chosen = list(rows) if rows is not None and number == layers - 1 else every
            hidden = self._layer(f"encoder.layer.{number}", hidden, rows=chosen)
        return hidden

    def _layer(self, name: str, hidden: Array, *, rows: list[int]) -> Array:
        attended = self._attend(f"{name}.attention", hidden, rows=rows)
        hidden = hidden[rows]
        if f"{name}.mlp.gated_layers.weight" in self._tensors:
            both = attended @ self._tensors[f"{name}.mlp.gated_layers.weight"].T
            half = both.shape[1] // 2
            gated = self._gate()(both[:, :half]) * both[:, half:]
            return self._norm(f"{name}.mlp.layernorm", self._linear(f"{name}.mlp.wo", gated) + attended)
        if f"{name}.mlp.up_gated_layer.weight" in self._tensors:
            attended = self._norm(f"{name}.layer_norm_1", hidden + attended)
            both = attended @ self._tensors[f"{name}.mlp.up_gated_layer.weight"].T
            half = both.shape[1] // 2
            gated = both[:, :half] * self._gate()(both[:, half:])
            return self._norm(f"{name}.layer_norm_2", attended + self._linear(f"{name}.mlp.down_layer", gated))
        wide = _gelu(self._linear(f"{name}.intermediate.dense", attended))
        return self._norm(f"{name}.output.LayerNorm", self._linear(f"{name}.output.dense", wide) + attended)

    def _attend(self, name: str, hidden: Array, *, rows: list[int]) -> Array:
        query = self._linear(f"{name}.self.query", hidden[rows])
        key, value = self._linear(f"{name}.self.key", hidden), self._linear(f"{name}.self.value", hidden)
        if f"{name}.self.layer_norm_q.weight" in self._tensors:
            query, key = self._norm(f"{name}.self.layer_norm_q", query), self._norm(f"{name}.self.layer_norm_k", key)
        heads = self._config["num_attention_heads"]
        size = hidden.shape[1] // heads
        places = np.arange(len(hidden))
        mixed = []
        for head, slope in enumerate(alibi_slopes(heads)):
            columns = slice(head * size, (head + 1) * size)
            scores = query[:, columns] @ key[:, columns].T / math.sqrt(size)
            scores -= slope * np.abs(places[rows][:, None] - places[None, :])
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, columns])
        output = self._linear(f"{name}.output.dense", np.concatenate(mixed, axis=1))
        return self._norm(f"{name}.output.LayerNorm", output + hidden[rows])

    def _gate(self) -> Callable[[Array], Array]:
        return _relu if self._config.get("feed_forward_type") == "reglu" else _gelu

    def _linear(self, name: str, values: Array) -> Array:
        return values @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]

    def _norm(self, name: str, values: Array) -> Array:
        centred = values - values.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self._config.get("layer_norm_eps", 1e-12))
        return centred / scale * self._tensors[f"{name}.weight"] + self._tensors[f"{name}.bias"]


def _gelu(values: Array) -> Array:
    return values * 0.5 * (1 + np.vectorize(math.erf)(values / math.sqrt(2)))


def _relu(values: Array) -> Array:
    return np.maximum(values, 0)
