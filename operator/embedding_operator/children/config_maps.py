"""ConfigMaps: resolved model, case set and rendered template (immutable, named by content), and the keys (mutable)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet
from embedding_model.resolved import ResolvedModel
from embedding_operator.api import names
from embedding_operator.children.metadata import Owner, build_child
from embedding_operator.observe.stored_reference import Reference, identify_cases, is_computed

TEMPLATE_FILE = "deployment.json"
_DOCUMENT_ANNOTATIONS: Final = (names.ANNOTATION_REQUEST, names.ANNOTATION_FOLLOWED, names.ANNOTATION_REFERENCE)


def model_config_map(owner: Owner, *, resolved: ResolvedModel, request: str, followed: str = "") -> dict[str, Any]:
    """`request` is the token of the request that led to this model: restarts find the resolution by it. `followed`:
    when a tracked branch came to this commit."""
    content = resolved.to_json()
    annotations = {names.ANNOTATION_REQUEST: request}
    if followed:
        annotations[names.ANNOTATION_FOLLOWED] = followed
    return _immutable(
        owner,
        name=names.model_configmap_name(owner.name, content=content),
        component=names.COMPONENT_MODEL,
        space=resolved.space,
        annotations=annotations,
        data={ports.MODEL_FILE: content.decode()},
    )


def goldens_config_map(owner: Owner, *, case_set: CaseSet, reference: Reference | None) -> dict[str, Any]:
    """A part of the case set: golden cases of the user's own, or those of `reference`."""
    is_own = reference is None or not is_computed(case_set.cases[0])
    return _cases_config_map(
        owner,
        case_set=case_set,
        component=names.COMPONENT_GOLDENS,
        name=names.goldens_configmap_name,
        reference=None if is_own else reference,
    )


def holdout_config_map(owner: Owner, *, reference: Reference) -> dict[str, Any]:
    return _cases_config_map(
        owner,
        case_set=reference.holdout,
        component=names.COMPONENT_HOLDOUT,
        name=names.holdout_configmap_name,
        reference=reference,
    )


def _cases_config_map(
    owner: Owner, *, case_set: CaseSet, component: str, name: Callable[..., str], reference: Reference | None
) -> dict[str, Any]:
    content, space = case_set.to_jsonl(), reference.space if reference else None
    return _immutable(
        owner,
        name=name(owner.name, content=identify_cases(content, space=space)),
        component=component,
        space=space,
        annotations={names.ANNOTATION_REFERENCE: reference.implementation} if reference else {},
        data={ports.GOLDENS_FILE: content.decode()},
    )


def template_config_map(owner: Owner, *, body: Mapping[str, Any], space: str, inputs: str) -> dict[str, Any]:
    """`body` is a Deployment's spec without replicas, kept to restore it word for word."""
    content = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return _immutable(
        owner,
        name=names.template_configmap_name(owner.name, content=content),
        component=names.COMPONENT_TEMPLATE,
        space=space,
        annotations={names.ANNOTATION_INPUTS: inputs},
        data={TEMPLATE_FILE: content.decode()},
    )


def restored_config_map(owner: Owner, *, seen: Mapping[str, Any]) -> dict[str, Any]:
    """One of the immutable ones, as it was when it was `seen`."""
    metadata = seen["metadata"]
    labels, annotations = metadata["labels"], metadata.get("annotations") or {}
    return _immutable(
        owner,
        name=metadata["name"],
        component=labels[names.LABEL_COMPONENT],
        space=labels.get(names.LABEL_SPACE),
        annotations={name: annotations[name] for name in _DOCUMENT_ANNOTATIONS if name in annotations},
        data=seen["data"],
    )


def keys_config_map(owner: Owner, *, data: Mapping[str, str]) -> dict[str, Any]:
    """`data` is the same for all models; the audience is the namespace's."""
    return build_child(
        owner,
        api_version="v1",
        kind="ConfigMap",
        name=names.keys_configmap_name(owner.name),
        component=names.COMPONENT_KEYS,
        data={**data, ports.KEYS_AUDIENCE: ports.name_audience(owner.namespace)},
    )


def _immutable(
    owner: Owner,
    *,
    name: str,
    component: str,
    space: str | None,
    annotations: Mapping[str, str],
    data: Mapping[str, str],
) -> dict[str, Any]:
    return build_child(
        owner,
        api_version="v1",
        kind="ConfigMap",
        name=name,
        component=component,
        space=space,
        annotations=annotations,
        data=dict(data),
        immutable=True,
    )
