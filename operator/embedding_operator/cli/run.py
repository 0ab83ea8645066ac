"""`embedding-operator run`: what the operator's Deployment runs."""

import logging
import os
import socket
import uuid
from pathlib import Path
from typing import Any

import click

from embedding_operator.cli.options import flag

PORT = click.IntRange(0, 65535)


@click.command()
@flag(
    "--settings",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The administrator's settings.yaml. Default: one profile, cpu, with this version's image.",
)
@flag(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Credentials to use outside a cluster. Default: $KUBECONFIG, the pod's service account, ~/.kube/config.",
)
@flag("--namespace", also="POD_NAMESPACE", default="default", show_default=True, help="Where the Lease is kept.")
@flag("--identity", also="POD_NAME", default=None, help="Name of this replica in the Lease. Default: the host's name.")
@flag(
    "--service-account",
    help="The operator's own, in --namespace: with its tokens pods are asked. Without it they are never asked.",
)
@flag("--health-port", type=PORT, default=8082, show_default=True, help="Port of /healthz and /readyz.")
@flag("--metrics-port", type=PORT, default=8083, show_default=True, help="Port of /metrics; 0 turns it off.")
@flag(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Least severe line that is logged.",
)
@flag(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="text for people, json for collectors.",
)
def run(
    settings: Path | None,
    kubeconfig: Path | None,
    identity: str | None,
    log_level: str,
    log_format: str,
    **process: Any,
) -> None:
    """Watch EmbeddingModels and bring the cluster to what they ask for, until SIGTERM.

    Several replicas may run; the holder of the Lease works, the others stand by.
    """
    from embedding_operator.allocator import keep_little
    from embedding_operator.log import configure_logging
    from embedding_operator.settings import SettingsError, default_settings, load_settings

    keep_little()
    configure_logging(level=log_level, json_lines=log_format == "json")
    try:
        loaded = load_settings(settings) if settings is not None else default_settings()
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    # Unique per process: a container that restarts in the same pod must not take itself for its predecessor.
    unique = f"{identity or socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    code = _run(loaded.with_process(identity=unique, **process), kubeconfig=kubeconfig)
    # Everything is closed by now; a thread that still waits for a hub that hangs must not hold the process.
    logging.shutdown()
    os._exit(code)


def _run(settings: Any, *, kubeconfig: Path | None) -> int:
    """Import the operator proper (kopf, the Kubernetes client) only once the flags are known to be right."""
    import asyncio

    from embedding_operator.allocator import collect_little
    from embedding_operator.kube.connection import ConnectionSettingsError
    from embedding_operator.process import run_operator
    from embedding_operator.reconcile.reconcile import reconcile

    async def reconcile_key(key: Any, gateway: Any, facts: Any) -> Any:
        return await reconcile(key, gateway=gateway, facts=facts, settings=settings)

    collect_little()
    try:
        return asyncio.run(run_operator(settings, reconcile=reconcile_key, kubeconfig=kubeconfig))
    except ConnectionSettingsError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        ports = f"{settings.health_port} and {settings.metrics_port}"
        raise click.ClickException(
            f"cannot listen on the health and metrics ports {ports}: {error.strerror}"
        ) from error
