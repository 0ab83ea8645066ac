"""`spec.model`: where the model's files come from."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from embedding_operator.api.fields import ConfigName, ObjectName, SpecModel
from embedding_operator.api.rules import Pattern, Rule, with_rules


class HuggingFaceSource(SpecModel):
    """A repository of a Hugging Face hub, or of a mirror of it."""

    repo: Annotated[
        str,
        Field(
            max_length=193,
            description="Repository as ORG/NAME, for example sentence-transformers/all-MiniLM-L6-v2.",
        ),
        Pattern(
            r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,95}/[A-Za-z0-9_][-A-Za-z0-9_.]{0,95}",
            "write the repository as ORG/NAME, for example sentence-transformers/all-MiniLM-L6-v2, not as a URL",
        ),
        Rule("!self.contains('..')", "write the repository as ORG/NAME, without '..'"),
    ]
    revision: Annotated[
        str,
        Field(
            max_length=255,
            description=(
                "Branch, tag or commit. It is resolved once to a commit, and every replica loads exactly that commit's "
                "files; a branch that moves afterwards changes nothing. Quote a commit: YAML may read a number."
            ),
        ),
        Pattern(
            r"[A-Za-z0-9_]([-A-Za-z0-9_./]*[-A-Za-z0-9_])?",
            "write a branch, a tag or a commit: letters, digits, '-', '_', '.' and '/'",
        ),
        Rule("!self.contains('..') && !self.contains('//')", "write a branch, a tag or a commit without '..' or '//'"),
    ] = "main"
    mirror: Annotated[
        ConfigName | None,
        Field(
            description=(
                "Name of a mirror that the administrator configured in the operator's Helm values (hub.mirrors). "
                "Unset: the configured hub itself. Never a URL."
            )
        ),
    ] = None


class VolumeSource(SpecModel):
    """A folder on a PersistentVolumeClaim of the same namespace, mounted read-only."""

    claim_name: Annotated[ObjectName, Field(description="Name of the PersistentVolumeClaim.")]
    path: Annotated[
        str,
        Field(
            max_length=1024,
            description="Folder of the model on the volume, absolute from the volume's root, for example /bge-small.",
        ),
        Pattern(
            r"/([^/\x00]+(/[^/\x00]+)*/?)?", "write an absolute path such as /models/bge-small, without empty parts"
        ),
        Rule(
            "!self.matches(r'(^|/)\\.\\.?(/|$)')",
            "write the path without '.' and '..' parts, from the root of the volume",
        ),
    ] = "/"


class ModelSource(SpecModel):
    """Where the model's files come from: exactly one source."""

    model_config = with_rules(
        Rule(
            "(has(self.huggingFace) ? 1 : 0) + (has(self.persistentVolumeClaim) ? 1 : 0) == 1",
            "set exactly one source: either huggingFace or persistentVolumeClaim",
        )
    )

    hugging_face: Annotated[
        HuggingFaceSource | None, Field(description="A repository of a Hugging Face hub, or of a mirror of it.")
    ] = None
    persistent_volume_claim: Annotated[
        VolumeSource | None,
        Field(description="A folder on a PersistentVolumeClaim of the same namespace, mounted read-only."),
    ] = None

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if (self.hugging_face is None) == (self.persistent_volume_claim is None):
            raise ValueError("set exactly one source: either huggingFace or persistentVolumeClaim")
        return self
