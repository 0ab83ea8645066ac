"""`spec.rollout`: how new pods take the place of old ones."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from embedding_operator.api.fields import SpecModel

STARTUP_TIMEOUT_SECONDS: Final = 1800  # load and warm-up of the largest models from slow disks


class RolloutStrategy(StrEnum):
    """SURGE: new pods beside the old ones. REPLACE: old ones go first, for want of a spare device."""

    SURGE = "Surge"
    REPLACE = "Replace"


class RolloutSpec(SpecModel):
    """How new pods take the place of old ones."""

    strategy: Annotated[
        RolloutStrategy,
        Field(
            description=(
                "Surge: a new pod is verified beside the old ones, which takes a spare device. Replace: an old pod "
                "goes first; a change of the vector space, or of a single pod, then leaves a gap without service."
            )
        ),
    ] = RolloutStrategy.SURGE
    startup_timeout_seconds: Annotated[
        int,
        Field(
            ge=10,
            le=86400,
            description=(
                "How long a pod may take to load its model, once its files are there, and to be verified. After it the "
                "rollout is reported as stalled, and the pods before go on serving."
            ),
        ),
    ] = STARTUP_TIMEOUT_SECONDS
