"""Every setting of `embedding-runtime serve`. Each is a flag and an environment variable EMBEDDING_RUNTIME_<FLAG>."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from embedding_model import ports
from embedding_model.cache.layout import CacheVerify
from embedding_model.resolved import Pooling, Quantization, Task

ANY_ADDRESS = "::"  # every address, of IPv4 too; a pod may have either kind or both


class Device(StrEnum):
    AUTO = "auto"  # cuda where torch finds a device, else cpu
    CPU = "cpu"
    CUDA = "cuda"


class Dtype(StrEnum):
    # float32: the numbers of the reference; half precision is the user's choice, not a surprise. bfloat16 with Int4,
    # which computes in nothing else.
    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class FailurePolicy(StrEnum):
    BLOCK = "Block"  # a failed golden case keeps the pod out of the Service
    WARN = "Warn"  # it is served, every response says `x-embedding-verified: false`


class TokenIds(StrEnum):
    """Whether requests may bring token ids in place of text."""

    REFUSE = "Refuse"  # ids of another model's tokenizer would give wrong vectors without a word
    ACCEPT = "Accept"  # the clients have this model's own tokenizer


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"  # an object a line


@dataclass(frozen=True)
class ServeSettings:
    """What `serve` runs with."""

    model: Path | None = None  # folder with the model's files; either this or a cache
    cache: Path | None = None  # volume that pods share, with the files by their sha256; it needs `resolved`
    cache_verify: CacheVerify = CacheVerify.FULL  # Quick trusts whoever else can write to the cache
    resolved: Path | None = None  # resolved model; without it the folder is inspected and served as found
    # What a folder is where its files leave it open, as spec.task and spec.embedding.pooling say it; a resolved model
    # says it itself.
    task: Task | None = None
    pooling: Pooling | None = None
    goldens: Path | None = None  # golden cases: a file of JSON lines, or a folder of such files
    keys: Path | None = None  # folder with what tokens are checked with; without it the guarded routes refuse all
    served_names: tuple[str, ...] = ()  # NAME or NAME=PROMPT; none: the repository's or folder's name
    failure_policy: FailurePolicy = FailurePolicy.BLOCK
    # How long an operator that audits must have been silent before the pod opens without its verdict. 0: no verdict is
    # waited for, as nobody gives one to a server that was started by hand.
    audit_grace_seconds: float = 0
    # How often golden cases and built-in checks run again while serving; 0: never. However often, they take no more
    # than 1 % of the time.
    check_seconds: float = 60
    token_ids: TokenIds = TokenIds.REFUSE

    # Who may use the public port. Neither file: everybody. Both are read again when they change.
    api_keys: Path | None = None  # a file with a key on each line
    jwks: Path | None = None  # a file with the public keys that sign tokens (RFC 7517); needs `jwt_audiences`
    jwt_audiences: tuple[str, ...] = ()  # a token must be meant for one of them
    jwt_issuer: str | None = None  # a token must come from it; None: from whoever the keys belong to

    device: Device = Device.AUTO
    dtype: Dtype = Dtype.AUTO
    quantization: Quantization = Quantization.NONE  # of a folder; a resolved model says it itself
    workers: int | None = None  # None: one per CPU of the cgroup quota, or one per GPU

    # Tokens of one batch, padding counted. None: 1024 on a CPU, where a larger batch is no faster and keeps a short
    # text waiting for about 0.2 s a thousand tokens; 16384 on a GPU, which needs that many to be busy.
    max_batch_tokens: int | None = None
    # Tokens admitted and not yet answered. Beyond it: 429. Most clients never retry, so this is minutes of work on a
    # CPU rather than seconds; a request is never refused for its size alone.
    max_queue_tokens: int = 262_144
    request_timeout_seconds: float = 600  # as long as the OpenAI SDK waits; then 503 and no compute is spent
    max_inputs: int = 2048  # texts of one request, as many as OpenAI takes; beyond it 400
    # Characters that are read of one text, at least 32 for each token that the model takes and 128 more. A longer text
    # is cut there, which changes nothing where the model takes less anyway; otherwise 400. Tokenising a character takes
    # some hundred bytes of memory.
    max_text_characters: int = 262_144
    max_body_bytes: int = 32 * 1024 * 1024  # beyond it 413
    # Bodies of all requests that are being received or answered. Beyond it 429; a request alone is never refused.
    max_buffered_bytes: int = 128 * 1024 * 1024

    host: str = ANY_ADDRESS
    port: int = ports.HTTP_PORT
    private_port: int = ports.PRIVATE_PORT
    # After SIGTERM: time in which load balancers notice that the pod is not ready; requests are still accepted.
    drain_seconds: float = 8
    # Then: time for accepted requests to be answered. 8 + 45 stays under the 60 s of grace that our pods have.
    shutdown_seconds: float = 45
    # Idle connections live longer than those of any usual client or load balancer (600 s is the longest default in
    # use), so that the side that closes is never the one that does not know of a request under way.
    keep_alive_seconds: int = 620
    public_metrics: bool = False  # also GET /metrics on the public port, as text-embeddings-inference has it
    log_format: LogFormat = LogFormat.TEXT
    # A batch that takes longer turns liveness red. A text of n times max_batch_tokens may take n times as long.
    hang_seconds: float = 120


CPU_BATCH_TOKENS = 1024
GPU_BATCH_TOKENS = 16_384
