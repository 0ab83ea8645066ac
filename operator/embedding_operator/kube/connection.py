"""How the operator reaches the API server: the pod's service account, or a kubeconfig outside a cluster.

One Configuration serves the Gateway and the informer alike, so both see the same server, authority and credentials.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME, load_incluster_config
from kubernetes.aio.config.kube_config import load_kube_config


class ConnectionSettingsError(Exception):
    """Neither a service account nor a usable kubeconfig was found."""


async def load_configuration(*, kubeconfig: Path | None = None) -> Configuration:
    """The present credentials: `kubeconfig`, else $KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Proxy variables of the environment are ignored: they speak of the way to the internet, and an API server that is
    reached through a proxy names it in its kubeconfig (`proxy-url`).

    Raises:
        ConnectionSettingsError: says which places were looked at.
    """
    configuration = Configuration()
    named = kubeconfig or (Path(os.environ["KUBECONFIG"]) if os.environ.get("KUBECONFIG") else None)
    try:
        if named is not None:
            await load_kube_config(str(named), client_configuration=configuration, persist_config=False)
        elif os.environ.get(SERVICE_HOST_ENV_NAME):
            load_incluster_config(configuration)
        else:
            await load_kube_config(client_configuration=configuration, persist_config=False)
    except (ConfigException, OSError) as error:
        place = f"the kubeconfig {named}" if named is not None else "the pod's service account or ~/.kube/config"
        raise ConnectionSettingsError(
            f"cannot connect to Kubernetes: expected credentials in {place}, found: {error}. "
            "Run inside a cluster, or set KUBECONFIG"
        ) from error
    configuration.client_session_kwargs = {"trust_env": False}
    return configuration


async def authorization(configuration: Configuration) -> str | None:
    """The value of the Authorization header; a service account's token is read from its file again once a minute."""
    token: str | None = await configuration.get_api_key_with_prefix("BearerToken")
    return token


@dataclass(frozen=True)
class Connection:
    """What any HTTP client needs to reach the API server as we do. Paths are files; `token` has no scheme before it."""

    server: str
    verify: bool
    ca_path: str | None
    token: str | None
    certificate_path: str | None
    private_key_path: str | None
    proxy_url: str | None


async def load_connection(*, kubeconfig: Path | None = None) -> Connection:
    """The present credentials, for a client that is not ours. Raises as `load_configuration`."""
    configuration = await load_configuration(kubeconfig=kubeconfig)
    return Connection(
        server=configuration.host,
        verify=configuration.verify_ssl,
        ca_path=configuration.ssl_ca_cert,
        token=_bare_token(await authorization(configuration)),
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        proxy_url=configuration.proxy,
    )


def _bare_token(header: str | None) -> str | None:
    """Without the scheme that kubernetes.aio writes before it (`Bearer` or `bearer`)."""
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    return token.strip() if token and scheme.lower() == "bearer" else header.strip()
