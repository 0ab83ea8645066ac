"""How a hub or a registry is reached: only what the administrator named, never anything from an object of a user."""

from dataclasses import dataclass, field

# Hosts that huggingface.co hands large files to.
HUB_REDIRECT_HOSTS = ("*.huggingface.co", "*.hf.co")


@dataclass(frozen=True, kw_only=True)
class Access:
    """One endpoint.

    endpoint          base URL of a hub, or of a registry (scheme, host and port)
    redirect_hosts    further hosts that answers may redirect to; `*.` stands for any name below. A host that is written
                      out may have a private address, one that only a pattern allows may not
    certificates      PEM text of certificate authorities to trust instead of the system's
    token             bearer token; goes to the endpoint's own origin and to no other host
    """

    endpoint: str
    redirect_hosts: tuple[str, ...] = HUB_REDIRECT_HOSTS
    certificates: str | None = None
    token: str | None = field(default=None, repr=False)
