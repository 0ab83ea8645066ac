"""What every part of the spec is made of: the base model, names, texts and quantities."""

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from embedding_operator.api.rules import INT_OR_STRING, Pattern

MAX_DIMENSIONS: Final = 8192  # twice the widest vector of the open models known today
MAX_POSITIONS: Final = 2**24  # far above the longest context of the open models known today
MAX_PROMPT_TEXT: Final = 8192  # of prompts and instructions, in characters

DNS_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
DNS_SUBDOMAIN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
QUANTITY: Final = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?"

ObjectName = Annotated[
    str,
    Field(max_length=253),
    Pattern(
        DNS_SUBDOMAIN, "write the name of an object in the same namespace: lower-case letters, digits, '-' and '.'"
    ),
]
ConfigName = Annotated[
    str,
    Field(max_length=63),
    Pattern(DNS_LABEL, "write a name that the administrator configured: lower-case letters, digits and '-'"),
]
PromptName = Annotated[
    str,
    Field(max_length=63),
    Pattern(r"[A-Za-z0-9]([-A-Za-z0-9_. ]*[A-Za-z0-9])?", "write letters, digits, '-', '_', '.' or spaces"),
]
InputText = Annotated[str, Field(min_length=1, max_length=32768)]


def _write_quantity(value: object) -> object:
    """Kubernetes takes `cpu: 2` and `cpu: "2"` alike; inside it is always a string."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    BeforeValidator(_write_quantity),
    Field(max_length=32, pattern=f"^{QUANTITY}$"),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            INT_OR_STRING: True,
            "pattern": f"^{QUANTITY}$",
            "maxLength": 32,
        }
    ),
]


class SpecModel(BaseModel):
    """Immutable, camelCase outside and snake_case inside.

    Unknown fields are errors: the API server prunes them, so one that arrives here belongs to a newer CRD, and leaving
    out what the user asked for would be a silent guess.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class SecretReference(SpecModel):
    """A Secret of the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the Secret, in the same namespace.")]


class ConfigMapReference(SpecModel):
    """A ConfigMap of the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the ConfigMap, in the same namespace.")]


class ClaimReference(SpecModel):
    """A PersistentVolumeClaim of the same namespace."""

    claim_name: Annotated[ObjectName, Field(description="Name of the PersistentVolumeClaim, in the same namespace.")]
