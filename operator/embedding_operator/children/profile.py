"""What rendering needs of the administrator's settings; `embedding_operator.settings` has it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from embedding_model.refusal import Reason as RefusalReason
from embedding_operator.api.reasons import Reason


class Profile(Protocol):
    """How a kind of device is served: image, and defaults of the pod."""

    @property
    def image(self) -> str: ...
    @property
    def image_pull_policy(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def resources(self) -> Mapping[str, Mapping[str, str]]: ...
    @property
    def node_selector(self) -> Mapping[str, str]: ...
    @property
    def tolerations(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def runtime_class(self) -> str: ...


class Endpoints(Protocol):
    @property
    def hub_endpoint(self) -> str: ...
    @property
    def mirrors(self) -> Mapping[str, str]: ...


class RenderSettings(Endpoints, Protocol):
    @property
    def profiles(self) -> Mapping[str, Profile]: ...
    @property
    def default_profile(self) -> str: ...
    @property
    def image_pull_secrets(self) -> Sequence[str]: ...


class Unrenderable(Exception):
    """The spec names something that the settings do not have. `message` lists what they have."""

    def __init__(self, reason: Reason | RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def choose_profile(settings: RenderSettings, *, name: str | None) -> Profile:
    """The profile of that name, or the default one. Raises Unrenderable."""
    wanted = name or settings.default_profile
    profile = settings.profiles.get(wanted)
    if profile is None:
        raise Unrenderable(
            Reason.PROFILE_NOT_FOUND,
            f'runtime profile "{wanted}" is not configured (configured: {_list(settings.profiles)}): write one of '
            "these into spec.runtime.profile, or add it to the operator's Helm values",
        )
    return profile


def choose_endpoint(settings: Endpoints, *, mirror: str | None) -> str:
    """URL of the hub, or of the mirror of that name. Raises Unrenderable.

    Users name mirrors, never URLs: the operator must not fetch any.
    """
    if mirror is None:
        return settings.hub_endpoint
    endpoint = settings.mirrors.get(mirror)
    if endpoint is None:
        raise Unrenderable(
            RefusalReason.MIRROR_NOT_FOUND,
            f'mirror "{mirror}" is not configured (configured: {_list(settings.mirrors)}): write one of these into '
            "spec.model.huggingFace.mirror, or add it to the operator's Helm values",
        )
    return endpoint


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
