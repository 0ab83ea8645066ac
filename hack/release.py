"""Installs the chart on the local cluster as a user would: helm, the image names and the hub's address."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "embedding-operator"
RELEASE = "embedding-operator"
OPERATOR_NAMESPACE = "embedding-operator-system"


def values(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Chart values for the images and the hub of the local cluster (`hack/cluster status -o json`)."""
    return {
        "image": split_reference(status["images"]["operator"]),
        "runtime": {
            "image": split_reference(status["images"]["runtime"]),
            "referenceImage": split_reference(status["images"]["reference"]),
        },
        "hub": {"endpoint": status["hubURL"]},
        # Two cores are shared by the cluster itself and by a rollout's surge pod: ask for little, use what is there.
        "profiles": {"cpu": {"resources": {"requests": {"cpu": "100m"}}}},
    }


def split_reference(reference: str) -> Mapping[str, str]:
    """HOST/NAME:TAG or HOST/NAME@sha256:... as the chart's repository, tag and digest."""
    repository, _, digest = reference.partition("@")
    name, colon, tag = repository.rpartition(":")
    if colon and "/" not in tag:
        repository = name
    else:
        tag = ""
    return {key: value for key, value in (("repository", repository), ("tag", tag), ("digest", digest)) if value}


def install(status: Mapping[str, Any], *, extra: Mapping[str, Any] | None = None) -> None:
    """`helm upgrade --install` and wait until the operator is ready; raises CalledProcessError with helm's words."""
    command = [
        status["tools"]["helm"],
        "upgrade",
        "--install",
        RELEASE,
        str(CHART),
        "--kubeconfig",
        status["kubeconfig"],
        "--namespace",
        OPERATOR_NAMESPACE,
        "--create-namespace",
        "--wait",
        "--timeout",
        "180s",
        "--values",
        "-",
    ]
    merged = merge(values(status), extra or {})
    subprocess.run(command, input=json.dumps(merged), text=True, check=True, stdout=subprocess.DEVNULL)


def merge(base: Mapping[str, Any], extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """A deep merge in which `extra` wins."""
    merged = dict(base)
    for key, value in extra.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
