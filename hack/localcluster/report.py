"""What `hack/cluster status` says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Report:
    """State of the cluster. ``disk`` counts bytes; ``images`` maps target to the last built reference, by digest."""

    mode: str
    running: bool
    kubeconfig: str
    registry: str | None = None
    hubURL: str | None = None
    auditLog: str | None = None
    volumes: str | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    components: Mapping[str, bool] = field(default_factory=dict)
    disk: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> str:
        """The report for programs."""
        return json.dumps(asdict(self), indent=1)

    def as_text(self) -> str:
        """The report for people."""
        lines = [f"cluster     {self.mode}, {'running' if self.running else 'not running (hack/cluster up)'}"]
        single = {
            "kubeconfig": self.kubeconfig,
            "registry": self.registry,
            "hub": self.hubURL,
            "audit log": self.auditLog,
            "volumes": self.volumes,
        }
        lines += [f"{name:<11} {value}" for name, value in single.items() if value]
        lines += [f"{'image':<11} {target}: {reference}" for target, reference in self.images.items()]
        lines += [f"{name:<11} {path}" for name, path in self.tools.items()]
        lines += [
            f"{'part':<11} {name}: {'runs' if runs else 'does not run'}" for name, runs in self.components.items()
        ]
        lines += [f"{'disk':<11} {name}: {count / 1e9:.1f} GB" for name, count in self.disk.items()]
        return "\n".join(lines)
