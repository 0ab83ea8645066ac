"""What a family of transformers is: its class names, and the tensors that its config.json asks for.

A family's `describe` turns a configuration into a Blueprint: the exact name and shape of every tensor of the body, of
the parts that may be absent, and of each head. Shapes are made of `Size`s, which remember the keys of config.json that
they come from, so that a refusal can name them. The tables restate the modules of transformers
(models/*/modeling_*.py); a test builds every class and compares.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from embedding_model.inspection.families.heads import Head, HeadTensors
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import Tensors

# Buffers that some versions of transformers saved. Each class computes them anew.
_BUFFERS = (
    "embeddings.position_ids",
    "embeddings.token_type_ids",
    "rotary_emb.inv_freq",
    "rotary_emb.original_inv_freq",
    "rotary_emb.scale",
)


@dataclass(frozen=True, kw_only=True)
class Positions:
    """How many tokens the model can number, special ones included, and where that number comes from, in words.

    `tensor` is the table of position embeddings, where there is one.
    """

    count: int
    note: str
    tensor: str | None = None


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """The tensors that one config.json asks for, by their names without prefix.

    body        what every model of the family has
    tied        name -> its twin: a tensor of the body that may be absent where the twin is there
    optional    groups that are there as a whole or not at all, such as the pooler
    heads       what may stand behind the body
    width       size of a token vector
    words       name of the word embeddings in `body`
    """

    body: Tensors
    optional: tuple[Tensors, ...] = ()
    tied: Mapping[str, str] = field(default_factory=dict)
    heads: Mapping[Head, HeadTensors] = field(default_factory=dict)
    width: int
    words: str
    positions: Positions


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family.

    name          of the family, config.json's model_type where transformers has it
    classes       class of transformers for the body (None) and for each head
    prefixes      words that precede the body's names where it was saved with a head
    describe      the table
    activation    key of the activation function in config.json, None where it is fixed
    renamings     parts of names that older saves have, and what they are today
    unused        beginnings of names, without prefix, that a body alone has no use for and may leave unread
    leftovers     those of them that inspection lets pass unchecked: heads of training that no task uses
    is_decoder    a language model that reads from left to right
    avoid_dtypes  dtypes that give wrong numbers
    """

    name: str
    classes: Mapping[Head | None, str]
    prefixes: tuple[str, ...]
    describe: Callable[[Settings], Blueprint]
    activation: str | None = "hidden_act"
    renamings: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    is_decoder: bool = False
    avoid_dtypes: tuple[str, ...] = ()

    @property
    def architecture(self) -> str:
        """The class that loads the body alone."""
        return self.classes[None]


def canonical_names(names: Iterable[str], *, family: Family) -> dict[str, str]:
    """Stored name -> name in the class without a head.

    Takes the prefix of checkpoints with a head away and turns TensorFlow's LayerNorm.gamma and .beta into .weight and
    .bias, as transformers does when it loads (conversion_mapping.py, "legacy").
    """
    renamings = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"), *family.renamings)
    return {name: _rename(_without_prefix(name, family=family), renamings=renamings) for name in names}


def has_prefix(name: str, *, family: Family) -> bool:
    """Whether the name is that of a body saved with a head."""
    return any(name.startswith(f"{prefix}.") for prefix in family.prefixes)


def is_buffer(name: str) -> bool:
    """Whether the name is that of a buffer: a class computes it, and an old save holds it all the same."""
    return name.endswith(_BUFFERS)


def name_classes(start: str, *, body: str = "Model", heads: Iterable[Head] = ()) -> dict[Head | None, str]:
    """The usual names of a family's classes, such as BertModel and BertForMaskedLM."""
    return {None: start + body, **{head: start + head for head in heads}}


def _without_prefix(name: str, *, family: Family) -> str:
    for prefix in family.prefixes:
        if name.startswith(f"{prefix}."):
            return name.removeprefix(f"{prefix}.")
    return name


def _rename(name: str, *, renamings: Iterable[tuple[str, str]]) -> str:
    for old, new in renamings:
        name = name.replace(old, new)
    return name
