"""A query and a document to the tokens of a template, for language models that rerank.

What is too long is cut out of the document, then of the query; never of the template, whose end the score is read
behind (see pair_truncation for the rule).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import tokenizers

from embedding_model.refusal import Reason, Refusal
from embedding_model.rerank_templates import RERANK_TEMPLATES, RerankTemplate, Segment, Slot
from embedding_model.resolved import Inspection, Serving, Side
from embedding_runtime.core.inputs import Input, Pair
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.pair_truncation import keep_query
from embedding_runtime.core.tokenizer import load_backend
from embedding_runtime.core.vocabulary import Vocabulary
from embedding_runtime.errors import InvalidRequest

# Room for query and document that a template must leave: less makes every score a matter of chance.
LEAST_ROOM = 8  # tokens


@dataclass(frozen=True)
class _Written:
    """A segment as text, and where in it (characters, from and to) query and document stand."""

    text: str
    query: tuple[int, int] = (0, 0)
    document: tuple[int, int] = (0, 0)


@dataclass
class _Measured:
    """Tokens of one segment: all ids, and the positions of those that belong to the query and to the document."""

    ids: Sequence[int]
    query: list[int] = field(default_factory=list)
    document: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)  # first character, in the query, of each of its tokens


class TemplateTokenizer:
    """Thread-safe; the library works outside the GIL. `instruction` None: the template's own."""

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        template: RerankTemplate,
        instruction: str | None,
        max_tokens: int,
        side: Side,
    ) -> None:
        """Raises Refusal: CONTRADICTORY_EVIDENCE where the tokenizer does not know the template's special tokens,
        INVALID_OVERRIDE where the template leaves no room for a query and a document.
        """
        unknown = [token for token in template.specials if backend.token_to_id(token) is None]
        if unknown:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"The template of this reranker ({template.source}) needs the tokens {', '.join(unknown)}, which its "
                "tokenizer does not have: the tokenizer belongs to another model.",
            )
        backend.no_padding()
        backend.no_truncation()
        self._backend = backend
        self.vocabulary = Vocabulary(backend)
        self._template = template
        self._instruction = instruction
        self._max_tokens = max_tokens
        self._side = side
        fixed = {segment[0] for segment in template.segments if segment and not _has_slot(segment)}
        self._fixed = {text: self._tokenize([str(text)])[0] for text in fixed}
        [empty] = self.encode([Pair("", "")])
        if max_tokens - len(empty.ids) < LEAST_ROOM:
            raise Refusal(
                Reason.INVALID_OVERRIDE,
                f"The template takes {len(empty.ids)} of the {max_tokens} tokens of an input, which leaves no room for "
                "a query and a document: allow more, or write a shorter instruction.",
                field="embedding.maxInputTokens",
            )

    @property
    def max_tokens(self) -> int:
        return self._max_tokens

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        """Raises TypeError for an input that is no Pair, InvalidRequest for an instruction that leaves no room."""
        pairs = [item for item in inputs if isinstance(item, Pair)]
        if len(pairs) != len(inputs):
            raise TypeError("this tokenizer takes a query and a document")
        chosen = [self._template.choose(self._instruction_of(pair)) for pair in pairs]
        written = [
            self._write(segment, pair=pair).text
            for segments, pair in zip(chosen, pairs, strict=True)
            for segment in segments
            if _has_slot(segment)
        ]
        variable = iter(self._tokenize(written))
        encoded: list[Tokens] = []
        for segments, pair in zip(chosen, pairs, strict=True):
            parts = [next(variable) if _has_slot(segment) else self._fixed[segment[0]] for segment in segments]
            ids = [id_ for part in parts for id_ in part]
            fits = len(ids) <= self._max_tokens and pair.max_document_tokens is None
            encoded.append(Tokens(ids=ids) if fits else self._fit(pair, segments=segments))
        return encoded

    def _fit(self, pair: Pair, *, segments: Sequence[Segment]) -> Tokens:
        """The tokens of a pair that is, or may be, too long. A query that is too long itself is cut as text: what
        follows it in its segment stays as it is. Each round makes it shorter.
        """
        whole = pair.query
        while True:
            measured = [self._measure(segment, pair=pair) for segment in segments]
            query = sum(len(part.query) for part in measured)
            document = sum(len(part.document) for part in measured)
            room = self._max_tokens - (sum(len(part.ids) for part in measured) - query - document)
            if room < LEAST_ROOM:
                raise InvalidRequest(
                    f"The instruction leaves {max(room, 0)} of {self._max_tokens} tokens for a query and a document: "
                    "send a shorter one.",
                    param="instruction",
                )
            most = document if pair.max_document_tokens is None else min(document, pair.max_document_tokens)
            kept_query, kept_document = keep_query(query, most, room)
            if kept_query == query:
                break
            starts = [start for part in measured for start in part.starts]
            pair = replace(pair, query=pair.query[: starts[kept_query]])
        dropped = document - kept_document
        side = pair.side or self._side
        ids: list[int] = []
        for part in measured:
            cut = part.document[:dropped] if side is Side.LEFT else part.document[kept_document:]
            gone = set(cut)
            ids += [id_ for index, id_ in enumerate(part.ids) if index not in gone]
        return Tokens(ids=ids, truncated=dropped > 0 or pair.query != whole)

    def _measure(self, segment: Segment, *, pair: Pair) -> _Measured:
        written = self._write(segment, pair=pair)
        encoding = self._backend.encode(written.text, add_special_tokens=False)
        measured = _Measured(ids=encoding.ids)
        for index, (start, end) in enumerate(encoding.offsets):
            # A token may begin with the blank before a text; the one that ends a query may hold the line's end.
            if _meets(written.document, start=start, end=end):
                measured.document.append(index)
            elif _meets(written.query, start=start, end=end):
                measured.query.append(index)
                measured.starts.append(max(0, start - written.query[0]))
        return measured

    def _write(self, segment: Segment, *, pair: Pair) -> _Written:
        values = {
            Slot.INSTRUCTION: self._instruction_of(pair) or "",
            Slot.QUERY: pair.query,
            Slot.DOCUMENT: pair.document,
        }
        text = ""
        spans: dict[Slot, tuple[int, int]] = {}
        for part in segment:
            piece = values[part] if isinstance(part, Slot) else part
            if isinstance(part, Slot):
                spans[part] = (len(text), len(text) + len(piece))
            text += piece
        return _Written(text=text, query=spans.get(Slot.QUERY, (0, 0)), document=spans.get(Slot.DOCUMENT, (0, 0)))

    def _instruction_of(self, pair: Pair) -> str | None:
        own = self._instruction if self._instruction is not None else self._template.instruction
        return pair.instruction if pair.instruction is not None else own

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [found.ids for found in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]


def load_template_tokenizer(
    files: Mapping[str, bytes | bytearray], *, inspection: Inspection, serving: Serving
) -> TemplateTokenizer:
    """`files` are the transformer's own.

    Raises Refusal: MISSING_FILE, INVALID_FILE, CONTRADICTORY_EVIDENCE, INVALID_OVERRIDE.
    """
    scoring = inspection.scoring
    if scoring is None or scoring.template is None:
        raise ValueError("a reranker with a template names it")
    return TemplateTokenizer(
        load_backend(files, family=inspection.family),
        template=RERANK_TEMPLATES[scoring.template],
        instruction=serving.instruction,
        max_tokens=serving.max_input_tokens,
        side=serving.truncation_side,
    )


def _has_slot(segment: Segment) -> bool:
    return any(isinstance(part, Slot) for part in segment)


def _meets(span: tuple[int, int], *, start: int, end: int) -> bool:
    return span[0] < span[1] and start < span[1] and end > span[0]
