"""`spec.cache`: a volume that keeps the model's files between pods."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from embedding_operator.api.fields import ClaimReference, SpecModel


class CacheVerification(StrEnum):
    """FULL: every file is hashed while it is loaded. QUICK: its size only; it was hashed when it was stored."""

    FULL = "Full"
    QUICK = "Quick"


class CacheSpec(SpecModel):
    """A volume that keeps the model's files between pods."""

    persistent_volume_claim: Annotated[
        ClaimReference,
        Field(
            description=(
                "Claim that many pods and models may share. Only its folder embedding-operator-v1 is ever touched; "
                "files are kept there by their sha256. Pods on several nodes need access mode ReadWriteMany."
            )
        ),
    ]
    verify: Annotated[
        CacheVerification,
        Field(
            description=(
                "Full: every file is hashed while it is loaded. Quick: only its size is checked, since it was hashed "
                "when it was stored; for a volume that nobody else writes to."
            )
        ),
    ] = CacheVerification.FULL
