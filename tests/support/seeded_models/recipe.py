"""How a family is built small."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seeded_models.tokenizers import ByteLevel, WordPiece

WIDTH = 64
HEADS = 4
INNER = 96

_USUAL = {
    "width": "hidden_size",
    "inner": "intermediate_size",
    "heads": "num_attention_heads",
    "layers": "num_hidden_layers",
    "positions": "max_position_embeddings",
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One family.

    start      of the names of transformers' classes, such as Bert
    tokenizer  that models of the family have, in its kind and special tokens
    config     values for the configuration class, beside the sizes
    keys       what the configuration calls width, inner, heads, layers and positions, where that is not the usual
    reserved   rows of the table of positions that no token gets
    spread     standard deviation of the matrices: large, as far as the numbers stay stable
    """

    start: str
    tokenizer: WordPiece | ByteLevel
    config: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    reserved: int = 0
    spread: float = 0.3

    def sizes(self, *, layers: int, positions: int, tokenizer: WordPiece | ByteLevel) -> dict[str, Any]:
        """Values for the configuration class."""
        numbers = {
            "width": WIDTH,
            "inner": INNER,
            "heads": HEADS,
            "layers": layers,
            "positions": positions + self.reserved,
        }
        named = {**_USUAL, **self.keys}
        return {
            **{named[name]: number for name, number in numbers.items()},
            **tokenizer.ids(),
            **self.config,
        }
