"""Specs of EmbeddingModels: refused ones, each with the words that tell a user what to write, and accepted ones."""

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HUB = {"huggingFace": {"repo": "acme/model"}}
VECTOR = base64.b64encode(struct.pack("<3f", 0.6, 0.8, 0.0)).decode()


@dataclass(frozen=True)
class Refused:
    """`message` is the rule's own, or the API server's for a bound; `python` tells that parse_spec refuses it too."""

    spec: Mapping[str, Any]
    message: str
    python: bool = True
    name: str = "model"


def hub(**fields: Any) -> Mapping[str, Any]:
    return {"model": {"huggingFace": {"repo": "acme/model", **fields}}}


def volume(**fields: Any) -> Mapping[str, Any]:
    return {"model": {"persistentVolumeClaim": {"claimName": "models", **fields}}}


DIGEST = "sha256:" + "0123456789abcdef" * 4
COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"


def image(reference: str = f"registry.example.com/models/bge@{DIGEST}", **fields: Any) -> Mapping[str, Any]:
    return {"model": {"image": {"reference": reference, **fields}}}


def cache(claim: str = "model-cache", **fields: Any) -> Mapping[str, Any]:
    return spec(cache={"persistentVolumeClaim": {"claimName": claim}, **fields})


def spec(**parts: Any) -> Mapping[str, Any]:
    return {"model": HUB, **parts}


def jwt(**fields: Any) -> Mapping[str, Any]:
    return spec(auth={"jwt": {"jwksConfigMapRef": {"name": "jwks"}, "audiences": ["search"], **fields}})


def golden(**fields: Any) -> Mapping[str, Any]:
    return spec(verification={"goldens": [{"name": "case", **fields}]})


def similarity(**fields: Any) -> Mapping[str, Any]:
    return golden(similarity={"a": "one", "b": "two", "expected": "0.5", "tolerance": "0.005", **fields})


def ranking(**fields: Any) -> Mapping[str, Any]:
    return golden(
        ranking={"query": "q", "documents": ["one", "two", "three"], "order": [2, 0, 1], "minGap": "0.05", **fields}
    )


def score(**fields: Any) -> Mapping[str, Any]:
    return golden(score={"query": "q", "document": "one", "expected": "-11.3", "tolerance": "0.05", **fields})


def label(**fields: Any) -> Mapping[str, Any]:
    return golden(label={"input": "text", "label": "joy", **fields})


def sparse(**fields: Any) -> Mapping[str, Any]:
    return golden(sparse={"input": "text", "terms": [{"term": "##s", "weight": "1.5"}], "tolerance": "0.02", **fields})


def _case(written: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one golden case of a spec, without its name."""
    (case,) = written["verification"]["goldens"]
    return {key: value for key, value in case.items() if key != "name"}


ONE_FORM = "a golden case has input and vector, or exactly one of similarity, ranking, score, label and sparse"
EACH_ONCE = "write in order the number of each document once, counted from 0"
SCORE = 'write a decimal string between "-1000" and "1000"'
POSITIVE = 'write a decimal string above "0", for example "0.01"'
OF_THE_TASK = "golden cases go with the task: vector or similarity with Embedding"
ONE_WAY = "set apiKeysSecretRef, jwt, or both; leave auth out to let everybody ask"
CLAIM = "write the value exactly as the tokens have it"
ORG_NAME = "write the repository as ORG/NAME"
ONE_SOURCE = "set exactly one source: either huggingFace, persistentVolumeClaim or image"
REVISION = "write a branch, a tag or a commit"
OBJECT_NAME = "write the name of an object in the same namespace"
CONFIGURED = "write a name that the administrator configured"
PROMPT_NAME = "write letters, digits, '-', '_', '.' or spaces"
LABEL_VALUE = "write a label value"
TOLERATION_KEY = "a toleration without key tolerates every taint and needs operator: Exists"
RERANKING_ALONE = "reranking goes with task Reranking or Auto: leave reranking out, or change task"
EMBEDDING_ALONE = "embedding.pooling, normalize and dimensions go with task Embedding or Auto"

REFUSED = {
    "no source": Refused({"model": {}}, ONE_SOURCE),
    "two sources": Refused({"model": {**HUB, "persistentVolumeClaim": {"claimName": "models"}}}, ONE_SOURCE),
    "a repository without owner": Refused(hub(repo="model"), ORG_NAME),
    "a repository as a URL": Refused(hub(repo="https://huggingface.co/acme/model"), ORG_NAME),
    "a repository with dots that climb": Refused(hub(repo="acme/a..b"), "ORG/NAME, without '..'", python=False),
    "a revision with spaces": Refused(hub(revision="my branch"), REVISION),
    "a revision that climbs": Refused(hub(revision="a/../b"), f"{REVISION} without '..' or '//'", python=False),
    "an empty revision": Refused(hub(revision=""), REVISION),
    "a mirror given as a URL": Refused(hub(mirror="https://mirror.example.org"), CONFIGURED),
    "a claim in another namespace": Refused(volume(claimName="other/models"), OBJECT_NAME),
    "a relative path on the volume": Refused(volume(path="models"), "write an absolute path such as /models/bge-small"),
    "a path that leaves the volume": Refused(
        volume(path="/models/../secrets"), "write the path without '.' and '..' parts", python=False
    ),
    "a source and an image": Refused({"model": {**HUB, **image()["model"]}}, ONE_SOURCE),
    "an image by tag": Refused(image("registry.example.com/models/bge:latest"), "never by a tag"),
    "an image by tag and digest": Refused(image(f"registry.example.com/models/bge:v1@{DIGEST}"), "never by a tag"),
    "an image without a registry": Refused(image(f"bge@{DIGEST}"), "write the image as REGISTRY/REPOSITORY@sha256"),
    "an image with credentials": Refused(
        image(f"user:secret@registry.example.com/bge@{DIGEST}"), "write the image as REGISTRY/REPOSITORY@sha256"
    ),
    "an image with a short digest": Refused(image("registry.example.com/bge@sha256:0123"), "with all 64 hex digits"),
    "a path that leaves the image": Refused(
        image(path="/a/../b"), "from the root of the volume or image", python=False
    ),
    "a commit that is tracked": Refused(
        hub(revision=COMMIT, updatePolicy="Track"), "updatePolicy Track follows a branch", python=False
    ),
    "a branch that is tracked with a token": Refused(
        hub(updatePolicy="Track", tokenSecretRef={"name": "hf-token"}),
        "updatePolicy Track asks the hub without a token",
    ),
    "an unknown update policy": Refused(hub(updatePolicy="Latest"), "supported values"),
    "a token from another namespace": Refused(hub(tokenSecretRef={"name": "other/hf-token"}), OBJECT_NAME),
    "an unknown conversion": Refused({"model": {**HUB, "conversion": "Always"}}, "supported values"),
    "an unknown task": Refused(spec(task="Chat"), "supported values"),
    "a cache in another namespace": Refused(cache("other/cache"), OBJECT_NAME),
    "an unknown check of the cache": Refused(cache(verify="Off"), "supported values"),
    "a space that is no fingerprint": Refused(spec(space="sp1-abc"), "write a fingerprint as status.space shows it"),
    "no input tokens": Refused(spec(embedding={"maxInputTokens": 0}), "greater than or equal to 1"),
    "an unknown side": Refused(spec(embedding={"truncation": "Middle"}), "supported values"),
    "no dimensions at all": Refused(spec(embedding={"dimensions": 0}), "greater than or equal to 1"),
    "more dimensions than any model has": Refused(spec(embedding={"dimensions": 8193}), "less than or equal to 8192"),
    "an unknown pooling": Refused(spec(embedding={"pooling": "Average"}), "supported values"),
    "an unknown normalisation": Refused(spec(embedding={"normalize": "Maybe"}), "supported values"),
    "an unknown number format": Refused(spec(runtime={"dtype": "Int8"}), "supported values"),
    "an unknown quantisation": Refused(spec(runtime={"quantization": "Int2"}), "supported values"),
    "an activation that makes no score of one logit": Refused(
        spec(reranking={"activation": "Softmax"}), "supported values"
    ),
    "an empty instruction": Refused(spec(reranking={"instruction": ""}), "at least 1 chars long"),
    "an instruction as long as a book": Refused(
        spec(reranking={"instruction": "x" * 8193}), "may not be more than 8192"
    ),
    "an instruction for an embedder": Refused(
        spec(task="Embedding", reranking={"instruction": "Find it."}), RERANKING_ALONE, python=False
    ),
    "scores of a classifier": Refused(
        spec(task="Classification", reranking={"activation": "Sigmoid"}), RERANKING_ALONE, python=False
    ),
    "a pooling for a reranker": Refused(
        spec(task="Reranking", embedding={"pooling": "Mean"}), EMBEDDING_ALONE, python=False
    ),
    "a normalisation for a sparse model": Refused(
        spec(task="Sparse", embedding={"normalize": "Enabled"}), EMBEDDING_ALONE, python=False
    ),
    "dimensions for a classifier": Refused(
        spec(task="Classification", embedding={"dimensions": 64}), EMBEDDING_ALONE, python=False
    ),
    "four bits in a format that no kernel computes in": Refused(
        spec(runtime={"dtype": "Float32", "quantization": "Int4"}),
        "quantization Int4 computes in BFloat16",
        python=False,
    ),
    "a quantised reranker": Refused(
        spec(task="Reranking", runtime={"quantization": "Int8"}),
        "runtime.quantization goes with task Embedding or Auto",
        python=False,
    ),
    "a default prompt that is none of the prompts": Refused(
        spec(embedding={"prompts": [{"name": "query", "text": "q: "}], "defaultPrompt": "passage"}),
        "defaultPrompt must name one of the prompts",
        python=False,
    ),
    "two prompts of one name": Refused(
        spec(embedding={"prompts": [{"name": "query", "text": "a"}, {"name": "query", "text": "b"}]}),
        "Duplicate value",
        python=False,
    ),
    "a prompt name of signs": Refused(spec(embedding={"prompts": [{"name": "<q>", "text": ""}]}), PROMPT_NAME),
    "a served name with a prompt that is not there": Refused(
        spec(
            embedding={"prompts": [{"name": "query", "text": "q: "}]},
            runtime={"servedNames": [{"name": "docs", "prompt": "passage"}]},
        ),
        "the prompt of a served name must be one of embedding.prompts",
        python=False,
    ),
    "a served name with an equals sign": Refused(
        spec(runtime={"servedNames": [{"name": "a=b"}]}), "write a model name of letters, digits"
    ),
    "a profile that is an image": Refused(spec(runtime={"profile": "registry/image:1"}), CONFIGURED),
    "a golden of no kind": Refused(golden(), ONE_FORM),
    "a golden of two kinds": Refused(
        golden(
            input="text",
            vector=VECTOR,
            similarity={"a": "one", "b": "two", "expected": "0.5", "tolerance": "0.1"},
        ),
        ONE_FORM,
    ),
    "a vector without its input": Refused(golden(vector=VECTOR), "a golden case with a vector needs the input"),
    "malformed base64": Refused(
        golden(input="text", vector="not base64!"), "vector must be base64 (RFC 4648, with padding", python=False
    ),
    "base64 without padding": Refused(
        golden(input="text", vector=VECTOR + "AAAAAA"), "vector must be base64", python=False
    ),
    "bytes that are no float32 values": Refused(
        golden(input="text", vector=base64.b64encode(b"12345").decode()),
        "vector does not hold whole float32 values",
        python=False,
    ),
    "a vector of other dimensions than asked for": Refused(
        {**golden(input="text", vector=VECTOR), "embedding": {"dimensions": 4}},
        "a golden vector must hold embedding.dimensions float32 values",
        python=False,
    ),
    "a golden with a prompt that is not there": Refused(
        {
            **golden(input="text", vector=VECTOR, prompt="passage"),
            "embedding": {"prompts": [{"name": "query", "text": "q: "}]},
        },
        "the prompt of a golden case must be one of embedding.prompts",
        python=False,
    ),
    "a golden's name with spaces": Refused(
        spec(verification={"goldens": [{"name": "my case", "input": "text", "vector": VECTOR}]}),
        "write letters, digits, '-', '_' or '.', for example capital-paris",
    ),
    "two goldens of one name": Refused(
        spec(verification={"goldens": [{"name": "case", "input": text, "vector": VECTOR} for text in ("a", "b")]}),
        "Duplicate value",
        python=False,
    ),
    "a similarity above one": Refused(similarity(expected="1.5"), 'write a decimal string from "-1" to "1"'),
    "a text compared with itself": Refused(
        similarity(b="one"), "any model finds a text equal to itself: write two texts that differ", python=False
    ),
    "a similarity as a number": Refused(similarity(expected=0.5), "must be of type string"),
    "a tolerance of one and more": Refused(similarity(tolerance="1.0"), 'above "0" and below "1"'),
    "no tolerance at all": Refused(similarity(tolerance="0.000"), 'write a tolerance above "0"', python=False),
    "a golden with a name of computed ones": Refused(
        spec(verification={"goldens": [{"name": "reference.short", "input": "text", "vector": VECTOR}]}),
        "names that begin with reference., holdout., check. are those of computed cases and built-in checks",
        python=False,
    ),
    "an order of too few": Refused(ranking(order=[2, 0]), EACH_ONCE, python=False),
    "an order that names one twice": Refused(ranking(order=[2, 0, 0]), EACH_ONCE, python=False),
    "an order counted from one": Refused(ranking(order=[3, 1, 2]), EACH_ONCE, python=False),
    "an order below zero": Refused(ranking(order=[1, 0, -1]), "greater than or equal to 0"),
    "one document in order": Refused(ranking(documents=["one"], order=[0]), "at least 2 items"),
    "a gap of nothing": Refused(ranking(minGap="0.00"), POSITIVE, python=False),
    "a gap in percent": Refused(ranking(minGap="5%"), 'write a decimal string below "1000"'),
    "a ranking with a prompt": Refused(
        golden(prompt="query", **_case(ranking())),
        "a prompt goes with vector, similarity and sparse: leave it out",
        python=False,
    ),
    "a score as a number": Refused(score(expected=0.5), "must be of type string"),
    "a score with an exponent": Refused(score(expected="1e-3"), SCORE),
    "a score that is exact": Refused(score(tolerance="0"), POSITIVE, python=False),
    "a score without its document": Refused(
        golden(score={"query": "q", "expected": "0.5", "tolerance": "0.1"}), "score.document: Required value"
    ),
    "a label's score without a tolerance": Refused(
        label(expected="0.5"), "a label's score needs expected and tolerance: write both, or neither"
    ),
    "a label without a name": Refused(label(label=""), "at least 1 chars long"),
    "no terms": Refused(sparse(terms=[]), "at least 1 items"),
    "a term twice": Refused(
        sparse(terms=[{"term": "a", "weight": "1"}, {"term": "a", "weight": "2"}]), "Duplicate value", python=False
    ),
    "a term without weight": Refused(sparse(terms=[{"term": "a", "weight": "0"}]), POSITIVE, python=False),
    "a vector for a reranker": Refused(
        {**golden(input="text", vector=VECTOR), "task": "Reranking"}, OF_THE_TASK, python=False
    ),
    "a ranking for an embedder": Refused({**ranking(), "task": "Embedding"}, OF_THE_TASK, python=False),
    "a sparse vector for a classifier": Refused({**sparse(), "task": "Classification"}, OF_THE_TASK, python=False),
    "a label for a sparse model": Refused({**label(), "task": "Sparse"}, OF_THE_TASK, python=False),
    "a threshold in percent": Refused(
        spec(verification={"minCosineSimilarity": "99.9%"}), 'write a decimal string from "0" to "1"'
    ),
    "an unknown failure policy": Refused(spec(verification={"failurePolicy": "Ignore"}), "supported values"),
    "goldens from another namespace": Refused(
        spec(verification={"goldensConfigMapRef": {"name": "other/goldens"}}), OBJECT_NAME
    ),
    "a resource without its domain": Refused(
        spec(resources={"limits": {"gpu": 1}}), "the full name of an extended resource", python=False
    ),
    "half a device": Refused(
        spec(resources={"limits": {"nvidia.com/gpu": "500m"}}), "devices are counted in whole numbers", python=False
    ),
    "a device only requested": Refused(
        spec(resources={"requests": {"nvidia.com/gpu": 1}}), "belongs into limits", python=False
    ),
    "more devices requested than allowed": Refused(
        spec(resources={"requests": {"nvidia.com/gpu": 2}, "limits": {"nvidia.com/gpu": 1}}),
        "a request for it must be equal",
        python=False,
    ),
    "a request above its limit": Refused(
        spec(resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "2G"}}),
        "a request must not be larger than the limit",
        python=False,
    ),
    "a quantity in words": Refused(spec(resources={"limits": {"memory": "lots"}}), "should match"),
    "a node label that is none": Refused(spec(pod={"nodeSelector": {"disk": "not a label"}}), LABEL_VALUE),
    "a toleration without key": Refused(spec(pod={"tolerations": [{}]}), TOLERATION_KEY, python=False),
    "a toleration of existence with a value": Refused(
        spec(pod={"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}),
        "a toleration with operator: Exists has no value",
        python=False,
    ),
    "a toleration of another kind of value": Refused(
        spec(pod={"tolerations": [{"key": "a", "value": "not a label"}]}), LABEL_VALUE
    ),
    "seconds of a toleration that evicts nobody": Refused(
        spec(pod={"tolerations": [{"key": "a", "tolerationSeconds": 5, "effect": "NoSchedule"}]}),
        "tolerationSeconds goes only with effect: NoExecute",
        python=False,
    ),
    "an auth that lets nobody in": Refused(spec(auth={}), ONE_WAY),
    "keys from another namespace": Refused(spec(auth={"apiKeysSecretRef": {"name": "other/keys"}}), OBJECT_NAME),
    "a JWKS from another namespace": Refused(jwt(jwksConfigMapRef={"name": "other/jwks"}), OBJECT_NAME),
    "a JWKS by a URL": Refused(jwt(jwksConfigMapRef={"name": "https://login.example.com/jwks"}), OBJECT_NAME),
    "tokens for any audience": Refused(jwt(audiences=[]), "at least 1 items"),
    "tokens without an audience": Refused(
        spec(auth={"jwt": {"jwksConfigMapRef": {"name": "jwks"}}}), "spec.auth.jwt.audiences: Required value"
    ),
    "an audience twice": Refused(jwt(audiences=["search", "search"]), "Duplicate value", python=False),
    "two audiences in one": Refused(jwt(audiences=["search, shop"]), CLAIM),
    "an empty audience": Refused(jwt(audiences=[""]), CLAIM),
    "an issuer with a line break": Refused(jwt(issuer="https://login.example.com/\n"), CLAIM),
    "token ids perhaps": Refused(spec(runtime={"tokenIds": "Auto"}), "supported values"),
    "fewer replicas than none": Refused(spec(replicas=-1), "greater than or equal to 0"),
    "a name of 51 characters": Refused(spec(), "write at most 50 lower-case letters", python=False, name="a" * 51),
    "a name that starts with a digit": Refused(spec(), "starting with a letter", python=False, name="1st"),
    "a name with a dot": Refused(spec(), "lower-case letters, digits and '-'", python=False, name="a.b"),
}

ACCEPTED = {
    "the least": spec(),
    "a commit of digits and one e, quoted": hub(revision="1234567890123456789012345678901234567e10"),
    "a branch with slashes": hub(revision="refs/pr/12"),
    "a mirror by name": hub(mirror="corp"),
    "a branch that is tracked": hub(revision="main", updatePolicy="Track"),
    "a commit that is pinned, with a token": hub(
        revision=COMMIT, updatePolicy="Pin", tokenSecretRef={"name": "hf-token"}
    ),
    "an image": image(),
    "an image of a registry with a port and a folder": image(
        f"127.0.0.1:5000/a/b_c/d-e.f@{DIGEST}", path="/models/bge"
    ),
    "a cache": cache(verify="Quick"),
    "a task, a conversion and an approved space": spec(
        model={**HUB, "conversion": "Isolated"}, task="Reranking", space="sp1-" + "0123456789abcdef" * 2
    ),
    "a length and a side": spec(embedding={"maxInputTokens": 512, "truncation": "Left"}),
    "a volume's root": volume(),
    "a folder of a volume": volume(path="/models/bge-small-en-v1.5/"),
    "a hidden folder": volume(path="/.cache/..model"),
    "every part of the space": spec(
        embedding={
            "dimensions": 3,
            "prompts": [{"name": "query", "text": "Instruct: ...\nQuery:"}, {"name": "s2p query", "text": ""}],
            "defaultPrompt": "query",
            "normalize": "Disabled",
            "pooling": "LastToken",
        },
        verification={"goldens": [{"name": "case", "prompt": "query", "input": "text", "vector": VECTOR}]},
        runtime={"servedNames": [{"name": "text-embedding-3-small", "prompt": "query"}, {"name": "acme/model:1"}]},
    ),
    "a default prompt of the model's own": spec(embedding={"defaultPrompt": "query"}),
    "no prompts, whatever the model has": spec(embedding={"prompts": []}),
    "goldens of both kinds": spec(
        verification={
            "goldens": [
                {"name": "vector", "input": "text", "vector": VECTOR},
                {
                    "name": "pair",
                    "similarity": {"a": "one", "b": "two", "expected": "-0.25", "tolerance": "0.005"},
                },
            ],
            "goldensConfigMapRef": {"name": "more.goldens"},
            "minCosineSimilarity": "1.0",
            "failurePolicy": "Warn",
        }
    ),
    "goldens of a reranker": spec(
        task="Reranking",
        verification={
            "goldens": [
                {"name": "order", **_case(ranking(documents=["x"] * 32, order=list(range(31, -1, -1))))},
                {"name": "score", **_case(score(tolerance="999.999999999"))},
            ]
        },
    ),
    "goldens of a classifier": spec(
        task="Classification",
        verification={
            "goldens": [
                {"name": "label", **_case(label())},
                {"name": "score", **_case(label(expected="-0.5", tolerance="0.02"))},
            ]
        },
    ),
    "a golden of a sparse model": {
        **sparse(terms=[{"term": f"##{index}", "weight": "0.5"} for index in range(64)]),
        "task": "Sparse",
    },
    "a golden of a sparse head": {**sparse(), "task": "Embedding"},
    "a golden of a sparse model, with a prompt": golden(prompt="query", **_case(sparse())),
    "a vector of one dimension": golden(input="text", vector=base64.b64encode(struct.pack("<f", 1.0)).decode()),
    "a vector of as many dimensions as there may be": golden(
        input="text", vector=base64.b64encode(b"\x00\x00\x80\x3f" * 8192).decode()
    ),
    "devices, numbers and strings": spec(
        resources={
            "requests": {"cpu": 2, "memory": "1Gi", "nvidia.com/gpu": 1},
            "limits": {"memory": "1Gi", "nvidia.com/gpu": "1", "ephemeral-storage": "10Gi"},
        }
    ),
    "placement": spec(
        pod={
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L4", "empty": ""},
            "tolerations": [
                {"operator": "Exists"},
                {"key": "dedicated", "value": "search", "effect": "NoExecute", "tolerationSeconds": 60},
            ],
            "imagePullSecrets": [{"name": "registry"}],
        }
    ),
    "a reranker as it is, with every default written out": spec(
        task="Reranking",
        embedding={"pooling": "Auto", "normalize": "Auto", "maxInputTokens": 512},
        reranking={"instruction": "Find it.\n", "activation": "Identity"},
        runtime={"dtype": "BFloat16", "quantization": "None"},
    ),
    "an embedder with an empty part for rerankers": spec(task="Embedding", reranking={}),
    "scores of a model whose files say the task": spec(reranking={"activation": "Sigmoid"}),
    "a quantised embedder": spec(task="Embedding", runtime={"dtype": "BFloat16", "quantization": "Int4"}),
    "keys alone": spec(auth={"apiKeysSecretRef": {"name": "embed-keys"}}),
    "tokens of an issuer": jwt(
        audiences=["search", "https://search.example.com/api?v=1", "urn:example:search"],
        issuer="https://login.example.com/realms/main",
    ),
    "keys and tokens": spec(
        auth={
            "apiKeysSecretRef": {"name": "embed-keys"},
            "jwt": {"jwksConfigMapRef": {"name": "login.jwks"}, "audiences": ["search"]},
        },
        runtime={"tokenIds": "Accept"},
    ),
    "no replicas": spec(replicas=0, suspend=True),
}
