"""`spec.verification.goldens`: the golden cases of every task, in the form of a line of `goldens.jsonl`.

What a case may hold is `embedding_model.goldens.written`'s; bounds and rules here let the API server say what is wrong
before anything is stored.
"""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from embedding_model.goldens.written import FORMS, MAX_DOCUMENTS, MAX_TERM, MAX_TERMS, PROMPTED, RESERVED_PREFIXES
from embedding_operator.api.fields import MAX_DIMENSIONS, InputText, PromptName, SpecModel
from embedding_operator.api.rules import ListMap, Pattern, Rule, with_rules

MAX_VECTOR_BASE64: Final = -(-MAX_DIMENSIONS * 4 // 3) * 4  # base64 of that many float32
MAX_LABEL: Final = 256  # characters
BASE64: Final = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)"

# Bytes that a base64 string decodes to, in CEL.
VECTOR_BYTES: Final = "(size({0}) / 4 * 3 - ({0}.endsWith('==') ? 2 : ({0}.endsWith('=') ? 1 : 0)))"

_NUMBER: Final = r"(0|[1-9][0-9]{0,2})(\.[0-9]{1,9})?"
_ABOVE_ZERO: Final = "self.matches('[1-9]')"

ScoreText = Annotated[
    str,
    Field(max_length=14),
    Pattern(
        f"-?{_NUMBER}",
        'write a decimal string between "-1000" and "1000" with at most nine decimals, for example "0.9932"',
    ),
]
Positive = Annotated[
    str,
    Field(max_length=13),
    Pattern(_NUMBER, 'write a decimal string below "1000" with at most nine decimals, for example "0.01"'),
    Rule(_ABOVE_ZERO, 'write a decimal string above "0", for example "0.01"'),
]
Share = Annotated[
    str,
    Field(max_length=11),
    Pattern(
        r"0(\.[0-9]{1,9})?",
        'write a decimal string above "0" and below "1" with at most nine decimals, for example "0.005"',
    ),
    Rule(_ABOVE_ZERO, 'write a tolerance above "0", for example "0.005": no two machines agree exactly'),
]


class SimilaritySpec(SpecModel):
    """Two texts and the cosine that their vectors must have."""

    model_config = with_rules(
        Rule("self.a != self.b", "any model finds a text equal to itself: write two texts that differ")
    )

    a: Annotated[InputText, Field(description="First text.")]
    b: Annotated[InputText, Field(description="Second text.")]
    expected: Annotated[
        str,
        Field(max_length=12, description='Expected cosine as a decimal string from "-1" to "1", for example "0.6660".'),
        Pattern(
            r"-?(0(\.[0-9]{1,9})?|1(\.0{1,9})?)",
            'write a decimal string from "-1" to "1" with at most nine decimals, for example "0.6660"',
        ),
    ]
    tolerance: Annotated[Share, Field(description='Largest accepted distance from `expected`, for example "0.005".')]


class RankingSpec(SpecModel):
    """A query and documents whose scores must have an order."""

    model_config = with_rules(
        Rule(
            "size(self.order) == size(self.documents) && "
            "self.order.all(i, i < size(self.documents) && self.order.exists_one(j, j == i))",
            "write in order the number of each document once, counted from 0, the best document's first",
        )
    )

    query: Annotated[InputText, Field(description="The query.")]
    documents: Annotated[
        tuple[InputText, ...],
        Field(min_length=2, max_length=MAX_DOCUMENTS, description="The documents, in any order."),
    ]
    order: Annotated[
        tuple[Annotated[int, Field(ge=0, le=MAX_DOCUMENTS - 1)], ...],
        Field(
            min_length=2,
            max_length=MAX_DOCUMENTS,
            description="Numbers of the documents, counted from 0, that with the highest score first.",
        ),
    ]
    min_gap: Annotated[
        Positive,
        Field(description='How much higher each score must at least be than the next one, for example "0.05".'),
    ]


class ScoreSpec(SpecModel):
    """A query and a document with their score."""

    query: Annotated[InputText, Field(description="The query.")]
    document: Annotated[InputText, Field(description="The document.")]
    expected: Annotated[
        ScoreText,
        Field(description='What the served activation makes of the logit, for example "0.9932".'),
    ]
    tolerance: Annotated[Positive, Field(description='Largest accepted distance from `expected`, for example "0.01".')]


class LabelSpec(SpecModel):
    """A text with its best label, and with the score of that label where `expected` is set."""

    model_config = with_rules(
        Rule(
            "has(self.expected) == has(self.tolerance)",
            "a label's score needs expected and tolerance: write both, or neither to check the label alone",
        )
    )

    input: Annotated[InputText, Field(description="Text to classify.")]
    label: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_LABEL,
            description="Label that must have the highest score, as status.model.labels spells it.",
        ),
    ]
    expected: Annotated[ScoreText | None, Field(description='Expected score of the label, for example "0.97".')] = None
    tolerance: Annotated[
        Positive | None, Field(description='Largest accepted distance from `expected`, for example "0.02".')
    ] = None

    @model_validator(mode="after")
    def _check_both_or_neither(self) -> Self:
        if (self.expected is None) != (self.tolerance is None):
            raise ValueError("a label's score needs expected and tolerance: write both, or neither")
        return self


class TermSpec(SpecModel):
    """A token of the model's vocabulary with its weight."""

    term: Annotated[
        str, Field(min_length=1, max_length=MAX_TERM, description="The token, as the model's tokenizer writes it.")
    ]
    weight: Annotated[Positive, Field(description='Weight of the token, a decimal string such as "1.84".')]


class SparseSpec(SpecModel):
    """A text with the heaviest terms of its sparse vector."""

    input: Annotated[InputText, Field(description="Text to embed.")]
    terms: Annotated[
        tuple[TermSpec, ...],
        Field(
            min_length=1,
            max_length=MAX_TERMS,
            description="The heaviest terms; none that is left out may be heavier than the lightest of them.",
        ),
        ListMap("term"),
    ]
    tolerance: Annotated[
        Share,
        Field(description='Largest accepted distance of a weight, as a share of that weight, for example "0.02".'),
    ]


_FORM_RULE: Final = (
    "a golden case has input and vector, or exactly one of similarity, ranking, score, label and sparse: write one"
)


class GoldenSpec(SpecModel):
    """A golden case: an input, and what the model is known to answer."""

    model_config = with_rules(
        Rule(f"[{', '.join(f'has(self.{form})' for form in FORMS)}].filter(given, given).size() == 1", _FORM_RULE),
        Rule(
            "has(self.vector) == has(self.input)",
            "a golden case with a vector needs the input that gives it, and only such a case has an input",
        ),
        Rule(
            f"!has(self.prompt) || {' || '.join(f'has(self.{form})' for form in PROMPTED)}",
            "a prompt goes with vector, similarity and sparse: leave it out",
        ),
    )

    name: Annotated[
        str,
        Field(max_length=63, description="Name of the case; messages and events show it."),
        Pattern(
            r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?",
            "write letters, digits, '-', '_' or '.', for example capital-paris",
        ),
        Rule(
            " && ".join(f"!self.startsWith('{prefix}')" for prefix in RESERVED_PREFIXES),
            f"names that begin with {', '.join(RESERVED_PREFIXES)} are those of computed cases and built-in checks: "
            "write another name",
        ),
    ]
    input: Annotated[InputText | None, Field(description="Text to embed, with `vector`.")] = None
    prompt: Annotated[
        PromptName | None,
        Field(
            description=(
                "Name of the prompt put before the texts of vector, similarity and sparse. Unset: the default prompt, "
                "if there is one."
            )
        ),
    ] = None
    vector: Annotated[
        str | None,
        Field(
            max_length=MAX_VECTOR_BASE64,
            description=(
                "Expected vector: base64 of little-endian float32 values, as many as the model serves dimensions. "
                "It passes when the cosine reaches minCosineSimilarity."
            ),
        ),
        Rule(
            f"self.matches(r'^{BASE64}$')",
            "vector must be base64 (RFC 4648, with padding, on one line) of little-endian float32 values",
        ),
        Rule(
            f"size(self) % 4 != 0 || {VECTOR_BYTES.format('self')} % 4 == 0",
            "vector does not hold whole float32 values: encode the little-endian float32 bytes, 4 for each dimension",
        ),
    ] = None
    similarity: Annotated[
        SimilaritySpec | None,
        Field(description="Two texts and the cosine that their vectors must have. For embedding models."),
    ] = None
    ranking: Annotated[
        RankingSpec | None, Field(description="A query and documents whose scores must have an order. For rerankers.")
    ] = None
    score: Annotated[ScoreSpec | None, Field(description="A query and a document with their score. For rerankers.")] = (
        None
    )
    label: Annotated[LabelSpec | None, Field(description="A text with its best label. For classifiers.")] = None
    sparse: Annotated[
        SparseSpec | None,
        Field(description="A text with the heaviest terms of its sparse vector. For sparse models."),
    ] = None

    @model_validator(mode="after")
    def _check_one_form(self) -> Self:
        if sum(getattr(self, form) is not None for form in FORMS) != 1:
            raise ValueError(_FORM_RULE)
        if (self.vector is None) != (self.input is None):
            raise ValueError("a golden case with a vector needs the input that gives it, and only such a case has one")
        return self
