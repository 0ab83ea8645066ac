"""`embedding-runtime serve`"""

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from embedding_model.cache.layout import CacheVerify
from embedding_model.resolved import Pooling, Quantization, Task
from embedding_runtime.commands.flags import F, ValueOf, flag, log_format_flag
from embedding_runtime.cpu import limit_library_threads
from embedding_runtime.log import configure_logging, log_loop_errors
from embedding_runtime.settings import Device, Dtype, FailurePolicy, ServeSettings, TokenIds

DEFAULTS = {field.name: field.default for field in fields(ServeSettings)}
FOLDER = click.Path(path_type=Path)  # a missing one is refused by the load, with a typed reason
FILE = click.Path(dir_okay=False, path_type=Path)
COUNT = click.IntRange(min=1)
SECONDS = click.FloatRange(min=0)
PORT = click.IntRange(min=0, max=65535)


def _setting(name: str, **attributes: Any) -> Callable[[F], F]:
    """A flag whose default is the setting's own."""
    default = DEFAULTS[name.removeprefix("--").replace("-", "_")]
    return flag(name, default=default, show_default=default is not None, **attributes)


@click.command()
@_setting("--model", type=FOLDER, help="Folder with the model's files. Either this or --cache.")
@_setting("--cache", type=FOLDER, help="Volume that pods share, with the files by their sha256. Needs --resolved.")
@_setting(
    "--cache-verify",
    type=ValueOf(CacheVerify),
    help="What is checked of a cached file when it is loaded: Full is its sha256, Quick its size.",
)
@_setting(
    "--resolved",
    type=FILE,
    help="Resolved model (JSON): every file is checked against its hashes. "
    "Without it the folder is inspected and served as found.",
)
@_setting(
    "--task",
    type=ValueOf(Task),
    help="What a folder is for, where its files leave it open. Only without --resolved, which says it itself.",
)
@_setting(
    "--pooling",
    type=ValueOf(Pooling),
    help="How the vectors of a folder's model are pooled: overrules the files. Only without --resolved.",
)
@_setting(
    "--goldens",
    type=click.Path(path_type=Path),
    help="Golden cases that must pass before traffic is taken: a file of JSON lines, or a folder of *.jsonl.",
)
@_setting(
    "--keys",
    type=click.Path(path_type=Path),
    help="Folder with issuer, jwks.json, subject and audience: who may use the guarded routes of the private port.",
)
@flag(
    "--served-name",
    "served_names",
    multiple=True,
    metavar="NAME[=PROMPT]",
    help="A model name that requests may use, and the prompt it applies. Repeatable.",
)
@_setting("--failure-policy", type=ValueOf(FailurePolicy), help="What a failed golden case or audit does.")
@_setting(
    "--audit-grace-seconds",
    type=SECONDS,
    help="How long an operator that audits must have been silent before the pod opens without its verdict. "
    "0: no verdict is waited for.",
)
@_setting(
    "--check-seconds",
    type=SECONDS,
    help="How often golden cases and built-in checks run again while serving, in 1 % of the time at most. 0: never.",
)
@_setting(
    "--token-ids",
    type=ValueOf(TokenIds),
    help="Whether requests may bring token ids in place of text. Accept only where the clients have this model's "
    "own tokenizer.",
)
@_setting("--api-keys", type=FILE, help="File with the keys that clients may use, one on each line.")
@_setting("--jwks", type=FILE, help="JWKS file: the public keys of tokens that clients may use. Needs --jwt-audience.")
@flag("--jwt-audience", "jwt_audiences", multiple=True, help="What a token must be meant for. Repeatable.")
@_setting("--jwt-issuer", help="Who a token must come from.")
@_setting("--device", type=ValueOf(Device), help="auto: a GPU where there is one.")
@_setting("--dtype", type=ValueOf(Dtype), help="auto: float32, the numbers of the reference; bfloat16 with Int4.")
@_setting(
    "--quantization",
    type=ValueOf(Quantization),
    help="What the linear layers of a language model are rounded to. Only without --resolved, which says it itself.",
)
@_setting(
    "--workers",
    type=COUNT,
    help="Worker threads, each computing whole batches on one core. [default: CPUs of the cgroup's quota; 1 on a GPU]",
)
@_setting(
    "--max-batch-tokens",
    type=COUNT,
    help="Tokens of one batch, padding counted. [default: 1024 on a CPU, 16384 on a GPU]",
)
@_setting("--max-queue-tokens", type=COUNT, help="Tokens admitted at once; beyond it requests get 429.")
@_setting("--request-timeout-seconds", type=SECONDS, help="Longest time to answer a request; then 503.")
@_setting("--max-inputs", type=COUNT, help="Texts of one request; beyond it 400.")
@_setting("--max-text-characters", type=COUNT, help="Characters that are read of one text.")
@_setting("--max-body-bytes", type=COUNT, help="Largest request body; beyond it 413.")
@_setting("--max-buffered-bytes", type=COUNT, help="Bodies of all requests under way; beyond it 429.")
@_setting("--host", help="Address to listen on; :: is every address, of IPv4 too.")
@_setting("--port", type=PORT, help="Public port. 0: any free one.")
@_setting("--private-port", type=PORT, help="Port of probes, metrics and golden results. 0: any free one.")
@_setting("--drain-seconds", type=SECONDS, help="Time after SIGTERM in which requests are still accepted.")
@_setting("--shutdown-seconds", type=SECONDS, help="Time after that for accepted requests to be answered.")
@_setting("--keep-alive-seconds", type=COUNT, help="How long an idle connection stays open.")
@_setting("--public-metrics", type=bool, is_flag=True, help="Also answer GET /metrics on the public port.")
@log_format_flag
@_setting("--hang-seconds", type=SECONDS, help="A batch that takes longer turns liveness red.")
def serve(**options: Any) -> None:
    """Serve a model over HTTP."""
    settings = ServeSettings(**options)
    if (settings.model is None) == (settings.cache is None) or (settings.cache and not settings.resolved):
        raise click.UsageError("give either --model, or --cache and --resolved")
    if settings.resolved and settings.quantization is not Quantization.NONE:
        raise click.UsageError("the resolved model says what is quantised: leave --quantization out")
    if settings.resolved and (settings.task or settings.pooling):
        raise click.UsageError("the resolved model says what it is: leave --task and --pooling out")
    if (settings.jwks is None) != (not settings.jwt_audiences):
        raise click.UsageError("--jwks and --jwt-audience go together: a token for anybody else must not be taken")
    if settings.jwt_issuer and settings.jwks is None:
        raise click.UsageError("--jwt-issuer goes with --jwks")
    limit_library_threads()
    configure_logging(settings.log_format)

    import uvloop

    from embedding_runtime.serve import serve as run

    async def run_logged() -> int:
        log_loop_errors()
        return await run(settings)

    status = uvloop.run(run_logged())
    # Not sys.exit: threads of torch and of a load that was given up may still run, and waiting for them would outlast
    # the grace period.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
