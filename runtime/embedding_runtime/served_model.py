"""What is served under which names: the resolved model, or a folder as it is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Origin, Prompt, ResolvedModel, Serving, SourceKind
from embedding_model.serving import Overrides, apply_overrides
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.selection import select
from embedding_model.space import fingerprint


@dataclass(frozen=True)
class ServedModel:
    """`names` maps every name that requests may use to the prompt that it applies (None: no prompt)."""

    resolved: ResolvedModel
    names: Mapping[str, Prompt | None]

    @property
    def serving(self) -> Serving:
        return self.resolved.serving

    @property
    def space(self) -> str:
        return self.resolved.space

    @property
    def revision(self) -> str:
        return name_revision(self.resolved)


def name_revision(resolved: ResolvedModel) -> str:
    """The commit; for a folder or volume, which has none, the manifest's digest."""
    return resolved.origin.revision or f"sha256:{resolved.manifest.digest()}"


def read_resolved(path: Path) -> ResolvedModel:
    """Raises Refusal(INVALID_FILE) for a document that is not a resolved model."""
    try:
        return ResolvedModel.from_json(path.read_bytes())
    except OSError as error:
        raise Refusal(Reason.MISSING_FILE, f"The resolved model {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, part["loc"])) or "document" for part in error.errors()[:3])
        raise Refusal(
            Reason.INVALID_FILE,
            f"{path} is not a resolved model of this version ({fields} is wrong). "
            "It must be written by the operator of the same release as this runtime.",
        ) from error


def resolve_folder(
    folder: Path, *, declared: Declared | None = None, overrides: Overrides | None = None
) -> ResolvedModel:
    """Inspect a folder and hash its files; serve what they say, or what is asked for. Raises Refusal."""
    source = FolderSource(folder, origin=Origin(kind=SourceKind.FOLDER, path=str(folder)))
    inspection = inspect(source, declared=declared)
    manifest = build_manifest(source, paths=select(source))
    serving, _ = apply_overrides(inspection, overrides=overrides or Overrides())
    return ResolvedModel(
        origin=source.origin,
        manifest=manifest,
        inspection=inspection,
        serving=serving,
        space=fingerprint(manifest=manifest, inspection=inspection, serving=serving),
    )


def name_model(resolved: ResolvedModel, *, served_names: Sequence[str]) -> ServedModel:
    """`served_names`: NAME (the model's default prompt, if it has one) or NAME=PROMPT (a prompt by its name).

    Raises Refusal(INVALID_OVERRIDE) for a prompt that the model does not have or a name given twice.
    """
    serving = resolved.serving
    default = serving.prompt(serving.default_prompt) if serving.default_prompt else None
    names: dict[str, Prompt | None] = {}
    for entry in served_names or (_own_name(resolved.origin),):
        name, given, prompt_name = entry.partition("=")
        prompt = serving.prompt(prompt_name) if given else default
        if given and prompt is None:
            known = ", ".join(prompt.name for prompt in serving.prompts) or "none"
            raise Refusal(
                Reason.INVALID_OVERRIDE,
                f"The served name {name} asks for the prompt {prompt_name}, which the model does not have; "
                f"it has: {known}.",
                field="runtime.servedNames",
            )
        if not name or (name in names and names[name] != prompt):
            problem = (
                f"The served name {name} is given twice with different prompts." if name else "A served name is empty."
            )
            raise Refusal(Reason.INVALID_OVERRIDE, problem, field="runtime.servedNames")
        names[name] = prompt
    return ServedModel(resolved=resolved, names=names)


def _own_name(origin: Origin) -> str:
    return origin.repo or Path(origin.path or "").name or "model"
