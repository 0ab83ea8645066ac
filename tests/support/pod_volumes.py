"""What pods mount, read from the API server: each immutable ConfigMap once, the keys as they are now."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from pod_watch import Pod
from responding_pods import Keys, find_volume

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet
from embedding_model.resolved import ResolvedModel
from embedding_operator.api import names


@dataclass
class PodVolumes:
    """None of what is not there yet."""

    client: aiohttp.ClientSession
    _models: dict[tuple[str, str], ResolvedModel] = field(default_factory=dict)
    _case_sets: dict[tuple[str, tuple[str, ...]], CaseSet] = field(default_factory=dict)

    async def read_model(self, pod: Pod) -> ResolvedModel | None:
        volume = find_volume(pod, "model-config")
        assert volume is not None
        place = (pod["metadata"]["namespace"], volume["configMap"]["name"])
        if place not in self._models:
            data = await self._read_config_map(*place)
            if data is None:
                return None
            self._models[place] = ResolvedModel.from_json(data[ports.MODEL_FILE])
        return self._models[place]

    async def read_cases(self, pod: Pod) -> CaseSet | None:
        volume = find_volume(pod, names.VOLUME_GOLDENS)
        namespace = pod["metadata"]["namespace"]
        sources = tuple(item["configMap"]["name"] for item in volume["projected"]["sources"]) if volume else ()
        if (namespace, sources) not in self._case_sets:
            parts = [await self._read_config_map(namespace, name) for name in sources]
            if not all(parts):
                return None
            content = "".join(part[ports.GOLDENS_FILE] for part in parts if part)
            self._case_sets[namespace, sources] = CaseSet.from_jsonl(content.encode())
        return self._case_sets[namespace, sources]

    async def read_keys(self, namespace: str, name: str) -> Keys | None:
        data = await self._read_config_map(namespace, name)
        return Keys.read(data) if data else None

    async def _read_config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        async with self.client.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}") as response:
            if response.status != 200:
                return None
            found = await response.json()
        data: Mapping[str, str] = found.get("data") or {}
        return data
