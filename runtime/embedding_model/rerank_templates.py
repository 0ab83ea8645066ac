"""The prompts in which language models that rerank were trained to see a query and a document.

Each is a list of segments. A segment is tokenised by itself, without the tokenizer's own special tokens, as the
reference implementation does it: where two texts meet inside a segment, tokens may join them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson


class Slot(StrEnum):
    """What a request fills in."""

    INSTRUCTION = "instruction"
    QUERY = "query"
    DOCUMENT = "document"


Segment = tuple[str | Slot, ...]


@dataclass(frozen=True, kw_only=True)
class RerankTemplate:
    """`specials` are the tokens of the tokenizer that the segments name; in another one they would be loose letters.

    `instruction` is what stands in its slot where nobody says otherwise.
    `bare` takes the place of `segments` where there is no instruction at all; None: the template has always one.
    """

    source: str
    specials: tuple[str, ...]
    segments: tuple[Segment, ...]
    instruction: str | None = None
    bare: tuple[Segment, ...] | None = None

    def choose(self, instruction: str | None) -> tuple[Segment, ...]:
        """The segments with or without a slot for an instruction."""
        return self.bare if self.bare is not None and not (instruction or self.instruction) else self.segments

    def digest(self) -> str:
        """sha256, in hex, of all that moves a score: every word of the segments and the instruction. Slots count as
        slots, so that a template that holds the word "query" is another one than that with a query in its place.
        """
        written = [
            None if segments is None else [[[isinstance(part, Slot), str(part)] for part in one] for one in segments]
            for segments in (self.segments, self.bare)
        ]
        return hashlib.sha256(orjson.dumps([*written, self.instruction])).hexdigest()


_QWEN3 = RerankTemplate(
    source="model card of Qwen/Qwen3-Reranker-0.6B: prefix, format_instruction, suffix",
    specials=("<|im_start|>", "<|im_end|>", "<think>", "</think>"),
    segments=(
        (
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
            'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n',
        ),
        ("<Instruct>: ", Slot.INSTRUCTION, "\n<Query>: ", Slot.QUERY, "\n<Document>: ", Slot.DOCUMENT),
        ("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",),
    ),
    instruction="Given a web search query, retrieve relevant passages that answer the query",
)

_BGE_GEMMA = RerankTemplate(
    source="FlagEmbedding 1.4: inference/reranker/decoder_only/base.py",
    specials=("<bos>",),
    segments=(
        ("<bos>",),
        ("A: ", Slot.QUERY),
        ("\n",),
        ("B: ", Slot.DOCUMENT),
        ("\n",),
        (Slot.INSTRUCTION,),
    ),
    instruction=(
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
        "prediction of either 'Yes' or 'No'."
    ),
)

_MXBAI_PREFIX: Segment = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n",
)
_MXBAI_REST: tuple[Segment, ...] = (
    ("\n",),
    ("document: ", Slot.DOCUMENT),
    ("\n",),
    (
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:",
    ),
    ("<|im_end|>\n<|im_start|>assistant\n",),
)
_MXBAI = RerankTemplate(
    source="mxbai-rerank 0.1.6: mxbai_rerank_v2.py",
    specials=("<|im_start|>", "<|im_end|>"),
    segments=(
        _MXBAI_PREFIX,
        ("instruction: ", Slot.INSTRUCTION, "\nquery: ", Slot.QUERY),
        *_MXBAI_REST,
    ),
    bare=(_MXBAI_PREFIX, ("query: ", Slot.QUERY), *_MXBAI_REST),
)

# By the name that Scoring.template has.
RERANK_TEMPLATES: Mapping[str, RerankTemplate] = {
    "qwen3-reranker": _QWEN3,
    "bge-reranker-v2-gemma": _BGE_GEMMA,
    "mxbai-rerank-v2": _MXBAI,
}
