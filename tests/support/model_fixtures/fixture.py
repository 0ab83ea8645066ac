"""What a fixture is: the files of one model, why it is hard, and the answer that is right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cached_property
from typing import Final

from embedding_model.refusal import Reason
from embedding_model.resolved import Activation, Declared, Origin, Pooling, ScoreRule, Side, SourceKind, Task
from embedding_model.sources.memory import MemorySource

Files = Mapping[str, bytes]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Unstated(Enum):
    """Stands for "this fixture is not about that field"."""

    UNSTATED = "unstated"


UNSTATED: Final = Unstated.UNSTATED


class Reference(StrEnum):
    """Which class of sentence-transformers loads the fixture and is asked for the same values."""

    SENTENCE_TRANSFORMER = "SentenceTransformer"
    CROSS_ENCODER = "CrossEncoder"
    SPARSE_ENCODER = "SparseEncoder"


@dataclass(frozen=True, kw_only=True)
class Score:
    """How a reranker scores: tokens only where the score is read from a language model's logits."""

    rule: ScoreRule
    has_template: bool = False
    true_token: str | None = None
    false_token: str | None = None
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sparse:
    pooling: Pooling
    activation: str
    query_weights: str | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What inspection says; fields as in `Inspection`. What belongs to another task is None or empty.

    `modules` are (kind, width in, width out). `prompts` are compared by name and text; the three names that
    sentence-transformers takes for the document's side (document, passage, corpus) count as one.
    """

    task: Task
    architecture: str
    max_input_tokens: int
    dimensions: int | None = None
    pooling: Pooling | None = None
    further_poolings: tuple[Pooling, ...] = ()
    normalize: bool | None = None
    include_prompt: bool = True
    modules: tuple[tuple[str, int, int], ...] = ()
    matryoshka: tuple[int, ...] = ()
    layer_norm_before_cut: bool = False
    prompts: Mapping[str, str] | Unstated = UNSTATED
    default_prompt: str | None = None
    lowercase: bool = False
    labels: tuple[str, ...] = ()
    activation: Activation | None = None
    score: Score | None = None
    sparse: Sparse | None = None
    truncation_side: Side = Side.RIGHT
    padding_side: Side | Unstated = UNSTATED
    end_token: str | Unstated | None = UNSTATED
    avoids: str | None = None  # a dtype that must be among avoid_dtypes
    folder: str | None = None
    evidence: tuple[tuple[str, str], ...] = ()  # (field, text that its evidence or its losers contain)
    has_card_prompts: bool = False  # prompts that no file of the model holds, only the text of its card


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One of `reasons`, `field` where a field of the spec settles it, and a message that contains `says`."""

    reasons: tuple[Reason, ...]
    field: str | Unstated | None = UNSTATED
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelFixture:
    """`name` is the model it stands for (ORGANISATION/NAME on the hub), `variant` what is special about this copy.

    `trap` says in one line why it is hard. `build` makes the files, once. With `in_folder` they are met in a plain
    folder, which does not tell the name.
    """

    name: str
    trap: str
    build: Callable[[], Files]
    answer: Answer | Refused
    variant: str = ""
    declared: Declared | None = None
    reference: Reference | None = None
    in_folder: bool = False

    @property
    def id(self) -> str:
        return f"{self.name} ({self.variant})" if self.variant else self.name

    @cached_property
    def files(self) -> Files:
        return dict(self.build())

    def source(self, files: Files | None = None) -> MemorySource:
        """The files, or others in their place, as inspection reads them."""
        origin = (
            Origin(kind=SourceKind.FOLDER, path="/models/served")
            if self.in_folder
            else Origin(kind=SourceKind.HUGGING_FACE, repo=self.name, requested="main", revision=COMMIT)
        )
        return MemorySource(self.files if files is None else files, origin=origin)
