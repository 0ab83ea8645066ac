"""What rendering needs of the administrator's settings; `embedding_operator.settings` has it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from embedding_model.refusal import Reason as RefusalReason
from embedding_model.refusal import Refusal
from embedding_model.sources.access import Access
from embedding_model.sources.registry.reference import parse_reference, require_allowed
from embedding_operator.api.reasons import Reason


class Profile(Protocol):
    """How a kind of device is served: images, and defaults of the pod."""

    @property
    def image(self) -> str: ...
    @property
    def reference_image(self) -> str: ...
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


class Hub(Protocol):
    """How a hub is reached; a private one only from the models' namespaces."""

    @property
    def access(self) -> Access: ...
    @property
    def private(self) -> bool: ...


class Endpoints(Protocol):
    @property
    def hub(self) -> Hub: ...
    @property
    def mirrors(self) -> Mapping[str, Hub]: ...


class RenderSettings(Endpoints, Protocol):
    @property
    def registries(self) -> Mapping[str, Access]: ...
    @property
    def image_volumes(self) -> bool: ...
    @property
    def proxy(self) -> Mapping[str, str]: ...
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


def choose_hub(settings: Endpoints, *, mirror: str | None) -> Hub:
    """The hub, or the mirror of that name. Raises Unrenderable.

    Users name mirrors, never URLs: the operator must not fetch any.
    """
    if mirror is None:
        return settings.hub
    hub = settings.mirrors.get(mirror)
    if hub is None:
        raise Unrenderable(
            RefusalReason.MIRROR_NOT_FOUND,
            f'mirror "{mirror}" is not configured (configured: {_list(settings.mirrors)}): write one of these into '
            "spec.model.huggingFace.mirror, or add it to the operator's Helm values",
        )
    return hub


def choose_registry(settings: RenderSettings, *, reference: str) -> Access | None:
    """How the registry of an image is reached. Raises Unrenderable for one that is not configured, and for a reference
    that names none: the kubelet would ask a default registry.

    None: the kubelet mounts images as volumes, and the administrator restricts no registry.
    """
    try:
        parsed = parse_reference(reference)
        if settings.image_volumes and not settings.registries:
            return None
        return require_allowed(parsed, registries=settings.registries)
    except Refusal as refusal:
        raise Unrenderable(refusal.reason, refusal.message) from refusal


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
