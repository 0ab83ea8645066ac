"""The CustomResourceDefinition of EmbeddingModel, built from the models of spec and status."""

from typing import Any, Final

from embedding_operator.api.names import API_VERSION, GROUP, KIND, PLURAL, VERSION
from embedding_operator.api.rules import VALIDATIONS, Rule
from embedding_operator.api.schema import Schema, build_schema
from embedding_operator.api.spec import EmbeddingModelSpec
from embedding_operator.api.status import UNOBSERVED, EmbeddingModelStatus

CRD_NAME: Final = f"{PLURAL}.{GROUP}"

# 50 characters keep the names of Deployment (<name>-<space10>) and Job (<name>-i<hash10>) within the 63 of a label
# value, which Kubernetes makes of them; a Service's name starts with a letter.
NAME_RULE: Final = Rule(
    "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$')",
    "metadata.name becomes the name of a Service and a prefix of others: write at most 50 lower-case letters, digits "
    "and '-', starting with a letter and ending with a letter or digit",
)


def build_crd() -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": CRD_NAME,
            # Flux's post-build substitution would rewrite ${...} in descriptions and rules.
            "annotations": {"kustomize.toolkit.fluxcd.io/substitute": "disabled"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["em"],
                "categories": ["embeddings"],
            },
            "versions": [_build_version()],
        },
    }


def _build_version() -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": _build_columns(),
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": _build_root()},
    }


def _build_root() -> Schema:
    status = build_schema(EmbeddingModelStatus)
    # Without it a fresh object without status counts as done for tools that wait (kstatus).
    status["default"] = {"observedGeneration": UNOBSERVED}
    spec = build_schema(EmbeddingModelSpec)
    return {
        "description": (
            "EmbeddingModel runs a text embedding model from exact bytes, lets no pod take traffic before its outputs "
            "match golden cases, and serves it behind a Service of the same name."
        ),
        "type": "object",
        "required": ["spec"],
        VALIDATIONS: [NAME_RULE.to_dict()],
        "properties": {
            "apiVersion": {"description": f"{API_VERSION}.", "type": "string"},
            "kind": {"description": f"{KIND}.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }


def _build_columns() -> list[dict[str, Any]]:
    return [
        _column("Task", path=".status.model.task"),
        _column("Revision", path=".status.model.shortRevision"),
        _column("Dim", path=".status.model.dimensions", kind="integer"),
        _column("Verified", path=_condition("Verified")),
        _column("Ready", path=_condition("Ready")),
        _column("Replicas", path=".status.replicas", kind="integer"),
        _column("Age", path=".metadata.creationTimestamp", kind="date"),
        _column("Model", path=".status.model.source", wide=True),
        _column("Device", path=".status.pods.device", wide=True),
        _column("Space", path=".status.space.fingerprint", wide=True),
        _column("URL", path=".status.url", wide=True),
    ]


def _condition(kind: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].status'


def _column(name: str, *, path: str, kind: str = "string", wide: bool = False) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "priority": 1} if wide else column
