"""Everything that objects went through: a watch that runs beside a test and keeps each state that it saw."""

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from live_cluster import LiveCluster

Object = Mapping[str, Any]
END_SECONDS = 10.0


@dataclass
class Watched:
    """`states` are objects in the order of their events, after those that were there first."""

    states: list[Object] = field(default_factory=list)

    def of(self, name: str) -> Sequence[Object]:
        """The states of one object."""
        return [item for item in list(self.states) if item["metadata"]["name"] == name]

    def take(self) -> Sequence[Object]:
        """Those that have come since this was last asked. They are not kept."""
        taken = list(self.states)
        del self.states[: len(taken)]
        return taken

    def uids(self) -> set[str]:
        """Of all objects that there were."""
        return {item["metadata"]["uid"] for item in list(self.states)}


@contextmanager
def watched(cluster: LiveCluster, path: str) -> Iterator[Watched]:
    """Watch a collection, such as `/api/v1/namespaces/NAME/pods`, from its present state on."""
    listed = json.loads(cluster.kubectl("get", "--raw", path))
    found = Watched(list(listed["items"]))
    query = f"watch=true&resourceVersion={listed['metadata']['resourceVersion']}&timeoutSeconds=3600"
    command = [cluster.kubectl_binary, "--kubeconfig", str(cluster.kubeconfig), "get", "--raw", f"{path}?{query}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=_read, args=(process.stdout, found), name=f"watch {path}")
        reader.start()
        try:
            yield found
            assert process.poll() is None, f"the watch of {path} ended before the test did"
        finally:
            process.terminate()
            reader.join(END_SECONDS)
            assert not reader.is_alive(), f"the watch of {path} does not end"


def _read(lines: Any, found: Watched) -> None:
    for line in lines:
        if line.endswith(b"\n"):  # the last one may be cut off
            found.states.append(json.loads(line)["object"])
