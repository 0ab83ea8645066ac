"""How a fetch and a Job reach a hub or a registry: whose token goes where, and which redirects are allowed."""

import pytest

from embedding_model.resolved import SourceKind
from embedding_model.sources.access import HUB_REDIRECT_HOSTS
from embedding_runtime.commands.endpoint import HUB, read_access

OTHERS = [kind for kind in SourceKind if kind is not SourceKind.HUGGING_FACE]


@pytest.mark.parametrize("kind", OTHERS)
def test_a_token_of_a_hub_is_given_to_no_registry(kind: SourceKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who fetches an image may well have HF_TOKEN in the environment."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    access = read_access("https://registry.example.com", redirect_hosts=(), token_file=None, kind=kind)
    assert access.token is None


def test_a_hub_gets_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    access = read_access(HUB, redirect_hosts=(), token_file=None, kind=SourceKind.HUGGING_FACE)
    assert (access.token, access.redirect_hosts) == ("hf_secret", HUB_REDIRECT_HOSTS)


def test_a_mirror_that_names_no_redirect_hosts_may_redirect_to_none() -> None:
    access = read_access("https://mirror.example.com", redirect_hosts=(), token_file=None, kind=SourceKind.HUGGING_FACE)
    assert access.redirect_hosts == ()
