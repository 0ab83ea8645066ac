"""EmbeddingModel manifests and reference vectors for end-to-end tests."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

MINILM_REPO = "sentence-transformers/all-MiniLM-L6-v2"
SRE_REPO = "acme/sre-embedding-model"

# Small enough for several pods on two cores; the limit is what MiniLM needs with torch loaded, with room.
RESOURCES = {"requests": {"cpu": "100m", "memory": "600Mi"}, "limits": {"memory": "2Gi"}}


def embedding_model(name: str, *, namespace: str, repo: str = MINILM_REPO, **spec: Any) -> Mapping[str, Any]:
    """A manifest with small resources; `spec` entries replace the defaults at the top level.

    No Job computes golden cases, unless `verification` asks for it: few tests are about it, and it takes a minute.
    """
    source: Mapping[str, Any] = {"model": {"huggingFace": {"repo": repo}}}
    verification = {"reference": "Off", **spec.pop("verification", {})}
    return {
        "apiVersion": "embedding-operator.dev/v1alpha1",
        "kind": "EmbeddingModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**source, "resources": RESOURCES, "verification": verification, **spec},
    }


def encode_vector(vector: npt.NDArray[np.float32]) -> str:
    """base64 of little-endian float32, as goldens carry it."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def decode_vector(text: str) -> npt.NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


@dataclass(frozen=True)
class Served:
    """A model that is Ready: the object then, and where its Service answers."""

    model: Mapping[str, Any]
    url: str

    @property
    def status(self) -> Mapping[str, Any]:
        status: Mapping[str, Any] = self.model["status"]
        return status

    def answers_in_its_space(self) -> bool:
        """Not at once after a move: each node's kube-proxy follows the Service's endpoints within a second or so."""
        name, space = self.model["metadata"]["name"], self.status["space"]["fingerprint"]
        answer = self._post("/v1/embeddings", model=name, input="Which space is this?")
        return answer.headers["x-embedding-space"] == space

    def ask(self, path: str, **body: Any) -> Any:
        """What a POST answers."""
        return self._post(path, **body).json()

    def _post(self, path: str, **body: Any) -> httpx.Response:
        answer = httpx.post(self.url + path, json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32 [texts, dimensions], from the OpenAI route."""
        model = self.model["metadata"]["name"]
        answer = self.ask("/v1/embeddings", model=model, input=list(texts), encoding_format="base64")
        return np.stack([decode_vector(row["embedding"]) for row in answer["data"]])


def vector_golden(name: str, *, text: str, vector: npt.NDArray[np.float32]) -> Mapping[str, Any]:
    return {"name": name, "input": text, "vector": encode_vector(vector)}


def cosine(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@cache
def _reference(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def reference_vectors(folder: Path, *, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """What sentence-transformers answers for the same files: float32, shape (len(texts), dimensions)."""
    vectors: npt.NDArray[np.float32] = _reference(folder).encode(list(texts), batch_size=16, show_progress_bar=False)
    return vectors


def texts_of_many_lengths(count: int, *, longest: int = 500) -> Sequence[str]:
    """Deterministic English-like texts of 1 to `longest` words of one token each, every length class present."""
    vocabulary = (
        "the cat dog house river market search vector model engine cloud water green small night paper music train "
        "light stone winter summer garden window doctor school street country people question answer number letter"
    ).split()
    generator = np.random.default_rng(20)
    lengths = np.unique(np.geomspace(1, longest, count).round().astype(int))
    lengths = np.concatenate([lengths, generator.integers(1, longest + 1, count - len(lengths))])
    return [" ".join(generator.choice(vocabulary, length)) for length in lengths]


def reference_scores(folder: Path, *, query: str, documents: Sequence[str]) -> Sequence[float]:
    """What sentence-transformers' CrossEncoder answers for each document: 0 to 1."""
    from sentence_transformers import CrossEncoder

    pairs = [(query, document) for document in documents]
    scores: list[float] = CrossEncoder(str(folder), device="cpu").predict(pairs).tolist()
    return scores
