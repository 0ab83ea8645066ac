"""`spec.model`: where the model's files come from."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from embedding_operator.api.fields import ConfigName, ObjectName, SecretReference, SpecModel
from embedding_operator.api.rules import Pattern, Rule, with_rules


class UpdatePolicy(StrEnum):
    """PIN: stays on the commit that was resolved. TRACK: follows the branch within its vector space."""

    PIN = "Pin"
    TRACK = "Track"


class ConversionPolicy(StrEnum):
    """NEVER: weights that exist only as pickle are refused. ISOLATED: they are converted without network or token."""

    NEVER = "Never"
    ISOLATED = "Isolated"


COMMIT: Final = "[0-9a-f]{40}"
_TRACKED_COMMIT: Final = "updatePolicy Track follows a branch: write the branch into revision, or updatePolicy: Pin"
# Polling a private repository would take a pod for every look, since the operator reads no Secret.
_TRACKED_PRIVATELY: Final = (
    "updatePolicy Track asks the hub without a token, because the operator reads no Secret: remove tokenSecretRef, or "
    "write updatePolicy: Pin and ask anew with the annotation embedding-operator.dev/requestedAt"
)


class HuggingFaceSource(SpecModel):
    """A repository of a Hugging Face hub, or of a mirror of it."""

    model_config = with_rules(
        Rule(
            "!has(self.updatePolicy) || self.updatePolicy != 'Track' || !has(self.revision) || "
            f"!self.revision.matches('^{COMMIT}$')",
            _TRACKED_COMMIT,
        ),
        Rule(
            "!has(self.updatePolicy) || self.updatePolicy != 'Track' || !has(self.tokenSecretRef)", _TRACKED_PRIVATELY
        ),
    )

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
                "files; a branch that moves afterwards changes nothing (see updatePolicy). Quote a commit: YAML may "
                "read a number."
            ),
        ),
        Pattern(
            r"[A-Za-z0-9_]([-A-Za-z0-9_./]*[-A-Za-z0-9_])?",
            "write a branch, a tag or a commit: letters, digits, '-', '_', '.' and '/'",
        ),
        Rule("!self.contains('..') && !self.contains('//')", "write a branch, a tag or a commit without '..' or '//'"),
    ] = "main"
    update_policy: Annotated[
        UpdatePolicy,
        Field(
            description=(
                "Pin: stays on the commit that was resolved. Track: the branch is asked for regularly, and a new "
                "commit is rolled out through the gate as long as it gives the vector space that is asked for now, or "
                "spec.space where that is set; any other commit is reported, and nothing moves."
            )
        ),
    ] = UpdatePolicy.PIN
    token_secret_ref: Annotated[
        SecretReference | None,
        Field(
            description=(
                "Secret of the same namespace whose key HF_TOKEN holds a token for the hub. Only the pods that "
                "resolve and fetch see it, as a file; the operator reads no Secret."
            )
        ),
    ] = None
    mirror: Annotated[
        ConfigName | None,
        Field(
            description=(
                "Name of a mirror that the administrator configured in the operator's Helm values (hub.mirrors). "
                "Unset: the configured hub itself. Never a URL."
            )
        ),
    ] = None

    @model_validator(mode="after")
    def _check_what_is_tracked(self) -> Self:
        if self.update_policy is UpdatePolicy.TRACK and self.token_secret_ref is not None:
            raise ValueError(_TRACKED_PRIVATELY)
        return self


_FOLDER: Final = (
    Pattern(r"/([^/\x00]+(/[^/\x00]+)*/?)?", "write an absolute path such as /models/bge-small, without empty parts"),
    Rule(
        "!self.matches(r'(^|/)\\.\\.?(/|$)')",
        "write the path without '.' and '..' parts, from the root of the volume or image",
    ),
)


class VolumeSource(SpecModel):
    """A folder on a PersistentVolumeClaim of the same namespace, mounted read-only."""

    claim_name: Annotated[ObjectName, Field(description="Name of the PersistentVolumeClaim.")]
    path: Annotated[
        str,
        Field(
            max_length=1024,
            description="Folder of the model on the volume, absolute from the volume's root, for example /bge-small.",
        ),
        *_FOLDER,
    ] = "/"


class ImageSource(SpecModel):
    """A folder in an OCI image. Only its files are read: nothing of it is ever executed."""

    reference: Annotated[
        str,
        Field(
            max_length=512,
            description=(
                "Image as REGISTRY/REPOSITORY@sha256:DIGEST. The registry must be one of those in the operator's Helm "
                "values (registries); it may be any while none is named there and nodes mount images (imageVolumes)."
            ),
        ),
        Pattern(
            r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+@sha256:[0-9a-f]{64}",
            "write the image as REGISTRY/REPOSITORY@sha256:DIGEST with all 64 hex digits, for example "
            "registry.example.com/models/bge-m3@sha256:..., never by a tag",
        ),
    ]
    path: Annotated[
        str,
        Field(
            max_length=1024,
            description="Folder of the model in the image, absolute from its root, for example /bge-small.",
        ),
        *_FOLDER,
    ] = "/"


_ONE_SOURCE: Final = "set exactly one source: either huggingFace, persistentVolumeClaim or image"


class ModelSource(SpecModel):
    """Where the model's files come from: exactly one source."""

    model_config = with_rules(
        Rule(
            "(has(self.huggingFace) ? 1 : 0) + (has(self.persistentVolumeClaim) ? 1 : 0) + (has(self.image) ? 1 : 0) "
            "== 1",
            _ONE_SOURCE,
        )
    )

    hugging_face: Annotated[
        HuggingFaceSource | None, Field(description="A repository of a Hugging Face hub, or of a mirror of it.")
    ] = None
    persistent_volume_claim: Annotated[
        VolumeSource | None,
        Field(description="A folder on a PersistentVolumeClaim of the same namespace, mounted read-only."),
    ] = None
    image: Annotated[
        ImageSource | None,
        Field(description="A folder in an OCI image. Only its files are read: nothing of it is ever executed."),
    ] = None
    conversion: Annotated[
        ConversionPolicy,
        Field(
            description=(
                "What happens to weights that exist only as pickle, which can execute code when it is read. Never: the "
                "model is refused. Isolated: a Job converts them to safetensors in a process without network or token, "
                "and every pod loads exactly the result."
            )
        ),
    ] = ConversionPolicy.NEVER

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if sum(item is not None for item in (self.hugging_face, self.persistent_volume_claim, self.image)) != 1:
            raise ValueError(_ONE_SOURCE)
        return self
