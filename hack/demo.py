"""From nothing to a verified model that answers: what `make demo` runs.

Every step is what a user would type; the commands to go on with are printed at the end.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from array import array
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from math import sqrt
from pathlib import Path
from typing import Any

from localmode import require_local_mode
from release import OPERATOR_NAMESPACE, install

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = ROOT / "hack" / "cluster"
EXAMPLE = ROOT / "examples" / "minilm.yaml"
NAMESPACE = "search"
TEXT = "What is the capital of France?"
READY_TIMEOUT_SECONDS = 600


def main() -> int:
    require_local_mode("make demo")
    started = time.monotonic()
    try:
        show_embedding(bring_up())
    except subprocess.CalledProcessError as error:
        print(f"\nthe demo stopped: `{' '.join(map(str, error.cmd[:4]))} ...` ended with {error.returncode}")
        return 1
    print(f"\n{time.monotonic() - started:.0f} s in all")
    return 0


def bring_up() -> Mapping[str, Any]:
    """Cluster, images, hub, operator, model; the cluster's status."""
    say("a Kubernetes cluster on this machine (about 10 s; the first time its parts are built, about 10 min)")
    say("side by side, the images of operator, runtime and reference (about 5 s; the first time about 6 min)")
    with ThreadPoolExecutor() as pool:
        images = pool.submit(subprocess.run, [CLUSTER, "build", "all"], check=True)
        subprocess.run([CLUSTER, "up"], check=True)
        start_hub()
        images.result()
    status: Mapping[str, Any] = json.loads(subprocess.check_output([CLUSTER, "status", "-o", "json"]))
    say("the operator, by Helm (about 10 s)")
    install(status)
    say(f"kubectl apply -f {EXAMPLE.relative_to(ROOT)} (about a minute: a Job computes its golden cases first)")
    kubectl(status, "create", "namespace", NAMESPACE, check=False)
    kubectl(status, "apply", "-n", NAMESPACE, "-f", str(EXAMPLE))
    kubectl(
        status, "wait", "--for=condition=Ready", "em/minilm", "-n", NAMESPACE, f"--timeout={READY_TIMEOUT_SECONDS}s"
    )
    return status


def start_hub() -> None:
    subprocess.run([CLUSTER, "hub", "start"], check=True)
    subprocess.run([CLUSTER, "hub", "demo-models"], check=True)


def kubectl(status: Mapping[str, Any], *arguments: str, check: bool = True) -> None:
    environment = {**os.environ, "KUBECONFIG": status["kubeconfig"]}
    hidden = {} if check else {"stderr": subprocess.DEVNULL}
    subprocess.run([status["tools"]["kubectl"], *arguments], check=check, env=environment, **hidden)


def show_embedding(status: Mapping[str, Any]) -> None:
    """Print the table, an embedding from the Service and its cosine to the reference implementation."""
    with ThreadPoolExecutor() as pool:
        reference = pool.submit(reference_vector)
        print()
        kubectl(status, "get", "em", "-n", NAMESPACE, "-o", "wide")
        address = service_address(status)
        vector, headers = embed(address)
        print(f"\nPOST http://{address}/v1/embeddings  {TEXT!r}")
        print("  " + " ".join(f"{value:+.5f}" for value in vector[:8]) + f" ...  {len(vector)} dimensions")
        for name in ("x-embedding-space", "x-model-revision"):
            print(f"  {name}: {headers[name]}")
        print(f"  cosine to sentence-transformers: {cosine(vector, reference.result()):.6f}")
    print(f"""
Next:
  export KUBECONFIG={status["kubeconfig"]}
  kubectl describe em minilm -n {NAMESPACE}
  kubectl explain em.spec.verification
  curl -s http://{address}/v1/embeddings -d '{{"model": "minilm", "input": "hello"}}'
  kubectl logs -n {OPERATOR_NAMESPACE} -l app.kubernetes.io/name=embedding-operator
  hack/cluster down""")


def service_address(status: Mapping[str, Any]) -> str:
    """The ClusterIP, which this machine reaches like any pod."""
    kubectl_binary, kubeconfig = status["tools"]["kubectl"], status["kubeconfig"]
    query = ["get", "service", "minilm", "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}"]
    return subprocess.check_output([kubectl_binary, "--kubeconfig", kubeconfig, *query], text=True)


def embed(address: str) -> tuple[array[float], Mapping[str, str]]:
    """Vector (float32) and headers of one request."""
    body = json.dumps({"model": "minilm", "input": TEXT, "encoding_format": "base64"}).encode()
    request = urllib.request.Request(
        f"http://{address}/v1/embeddings", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
        headers = dict(response.headers)
    return decode(answer["data"][0]["embedding"]), headers


def reference_vector() -> array[float]:
    """The same text through sentence-transformers, in a process of its own, from the same files."""
    program = (
        "import base64, sys; from localcluster.hub.demo_models import fetch_minilm\n"
        "from sentence_transformers import SentenceTransformer\n"
        "vector = SentenceTransformer(str(fetch_minilm()), device='cpu').encode(sys.argv[1])\n"
        "print(base64.b64encode(vector.astype('<f4').tobytes()).decode())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "hack"), "HF_HUB_OFFLINE": "1"}
    output = subprocess.check_output(
        [sys.executable, "-c", program, TEXT], env=environment, stderr=subprocess.DEVNULL, text=True
    )
    return decode(output.strip().splitlines()[-1])


def decode(text: str) -> array[float]:
    vector = array("f", base64.b64decode(text))
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


def cosine(one: array[float], other: array[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def say(step: str) -> None:
    print(f"== {step}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
