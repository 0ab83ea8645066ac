"""Two texts to one sequence of tokens, as sentence-transformers' CrossEncoder makes it, and single texts too.

The tokenizer's post-processor puts its special tokens around and between them. What is too long is cut here and not by
the library, whose rules lose the query (see pair_truncation).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tokenizers

from embedding_model.inspection.tokenizer_rules import default_class
from embedding_model.resolved import Inspection, Serving, Side, Task
from embedding_runtime.core.inputs import Chunks, Encoded, Input, Pair, Text
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.pair_truncation import Rule, keep_query, share_equally
from embedding_runtime.core.tokenizer import load_backend, lowercase, read_options
from embedding_runtime.core.truncation import find_kept, find_span
from embedding_runtime.core.vocabulary import Vocabulary

# Classes of transformers 5 that tell a model which text a token is of, where no file says it (model_input_names).
# TokenizersBackend, which PreTrainedTokenizerFast stands for, does not.
_CLASSES_WITH_TYPES = frozenset(
    {"BertTokenizer", "DebertaTokenizer", "DebertaV2Tokenizer", "ElectraTokenizer", "MobileBertTokenizer"}
)


class PairTokenizer:
    """Thread-safe; the library works outside the GIL. `has_types`: whether the model is told which text is which."""

    def __init__(
        self, backend: tokenizers.Tokenizer, *, max_tokens: int, side: Side, rule: Rule, has_types: bool
    ) -> None:
        backend.no_padding()
        backend.no_truncation()
        self._backend = backend
        self.vocabulary = Vocabulary(backend)
        self._max_tokens = max_tokens
        self._side = side
        self._rule = rule
        self._has_types = has_types

    @property
    def max_tokens(self) -> int:
        return self._max_tokens

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        """Pairs, and texts with their prompts before them."""
        written = [self._write(item) for item in inputs]
        encodings = self._backend.encode_batch_fast(written)
        return [self._read(encoding, item=item) for item, encoding in zip(inputs, encodings, strict=True)]

    def _write(self, item: Input) -> str | tuple[str, str]:
        if isinstance(item, Encoded | Chunks):
            raise TypeError("this tokenizer takes texts and pairs")
        return (item.query, item.document) if isinstance(item, Pair) else item.prompt + item.text

    def _read(self, encoding: tokenizers.Encoding, *, item: Input) -> Tokens:
        ids, types = encoding.ids, encoding.type_ids if self._has_types else None
        most = item.max_document_tokens if isinstance(item, Pair) else None
        if len(ids) <= self._max_tokens and (most is None or encoding.sequence_ids.count(1) <= most):
            return Tokens(ids=ids, type_ids=types)
        kept = list(self._cut(encoding, side=_side_of(item) or self._side, most=most))
        return Tokens(
            ids=[ids[index] for index in kept],
            type_ids=None if types is None else [types[index] for index in kept],
            truncated=True,
        )

    def _cut(self, encoding: tokenizers.Encoding, *, side: Side, most: int | None) -> Iterator[int]:
        """Positions of the tokens that are kept: every special one, and of each text what the rule leaves; of a
        document no more than `most`.

        A document loses its end, or its beginning where the end is to be kept; a query loses its end.
        """
        owners = encoding.sequence_ids
        first, second = owners.count(0), owners.count(1)
        room = max(0, self._max_tokens - (len(owners) - first - second))
        if not second:
            return find_kept(owners, spans=[find_span(first, kept=min(first, room), side=side)])
        kept_first, kept_second = self._rule(first, second if most is None else min(second, most), room)
        return find_kept(owners, spans=[range(kept_first), find_span(second, kept=kept_second, side=side)])


def load_pair_tokenizer(
    files: Mapping[str, bytes | bytearray], *, inspection: Inspection, serving: Serving
) -> PairTokenizer:
    """`files` are the transformer's own. Raises Refusal: MISSING_FILE, INVALID_FILE."""
    backend = load_backend(files, family=inspection.family)
    if serving.lowercase:
        lowercase(backend)
    return PairTokenizer(
        backend,
        max_tokens=serving.max_input_tokens,
        side=serving.truncation_side,
        rule=keep_query if serving.task is Task.RERANKING else share_equally,
        has_types=has_types(read_options(files), family=inspection.family),
    )


def has_types(options: Mapping[str, Any], *, family: str) -> bool:
    """Whether transformers' tokenizer gives token_type_ids, so that the reference passes them to the model."""
    names = options.get("model_input_names")
    if isinstance(names, list):
        return "token_type_ids" in names
    written = options.get("tokenizer_class")
    name = written if isinstance(written, str) else default_class(family)
    return name.removesuffix("Fast") in _CLASSES_WITH_TYPES


def _side_of(item: Input) -> Side | None:
    return item.side if isinstance(item, Pair | Text) else None
