"""An authority that signs tokens, and files mounted the way the kubelet mounts Secrets and ConfigMaps."""

import functools
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "search"
ISSUER = "https://login.example.com/"


@functools.cache
def rsa_key(name: str, *, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One for each name: making them takes its time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class Authority:
    key: Any
    key_id: str | None
    algorithm: str

    @classmethod
    def rsa(cls, key_id: str | None = "first", *, algorithm: str = "RS256", bits: int = 2048) -> "Authority":
        return cls(rsa_key(str(key_id), bits=bits), key_id, algorithm)

    @classmethod
    def curve(cls, key_id: str = "curve") -> "Authority":
        return cls(ec.generate_private_key(ec.SECP256R1()), key_id, "ES256")

    @classmethod
    def edwards(cls, key_id: str = "edwards") -> "Authority":
        return cls(ed25519.Ed25519PrivateKey.generate(), key_id, "EdDSA")

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """The public key; None takes a member out."""
        kinds: dict[str, Any] = {"R": RSAAlgorithm, "P": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}
        writer = kinds[self.algorithm[0] if self.algorithm[0] in "RP" else self.algorithm[:2]]
        members = {**writer.to_jwk(self.key.public_key(), as_dict=True), "kid": self.key_id, "use": "sig", **changes}
        members.pop("key_ops", None) if "key_ops" not in changes else None
        return {name: value for name, value in members.items() if value is not None}

    def mint(self, *, headers: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A token that is good but for `changes` of its claims; None takes one out."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 600, "iat": now, **changes}
        named = {} if self.key_id is None else {"kid": self.key_id}
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            self.key,
            algorithm=self.algorithm,
            headers={**named, **(headers or {})},
        )


def unsigned(claims: Mapping[str, Any], *, key_id: str = "first") -> str:
    return jwt.encode(dict(claims), None, algorithm="none", headers={"kid": key_id})


def jwks(*keys: Mapping[str, Any]) -> str:
    return json.dumps({"keys": keys})


def mount(folder: Path, **files: str) -> None:
    """As the kubelet does it: a new folder, and a link swapped over to it. Dots in names are written `__`."""
    data = folder / f"..{time.monotonic_ns()}"
    data.mkdir(parents=True)
    for name, text in files.items():
        (data / name.replace("__", ".")).write_text(text)
    link = folder / "..new"
    link.symlink_to(data.name)
    os.replace(link, folder / "..data")
    for name in files:
        path = folder / name.replace("__", ".")
        if not path.is_symlink():
            path.symlink_to(f"..data/{path.name}")
