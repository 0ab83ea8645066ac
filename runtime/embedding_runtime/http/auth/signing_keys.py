"""The public keys of a JWKS (RFC 7517), and tokens (JWT, RFC 7519) checked with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from embedding_runtime.http.auth.watched_file import Malformed

# Asymmetric algorithms only: with a symmetric one, or `none`, anybody who can read the public keys could sign.
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVE_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}
RSA_BITS = range(2048, 8192 + 1)  # weaker ones can be forged, longer ones cost every request too much

LEEWAY_SECONDS = 30  # clocks differ
MAX_KEYS = 128
MAX_TOKEN_CHARACTERS = 16 * 1024
SECRET_PARTS = ("d", "k")  # of a private key, of a symmetric one


class UnknownSigningKey(jwt.InvalidKeyError):
    """The token names none of the keys."""


class MalformedToken(jwt.InvalidTokenError):
    """It is longer than any token, or holds what no token may hold."""


@dataclass(frozen=True)
class SigningKey:
    key: Any  # a public key of `cryptography`
    key_id: str | None
    algorithms: Sequence[str]


@dataclass(frozen=True)
class SigningKeys:
    keys: tuple[SigningKey, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def describe(self) -> str:
        return f"{len(self)} keys" if self else "no key, so no token is valid"

    def verify(self, token: str, *, audience: str | Sequence[str], issuer: str | None, require: Sequence[str]) -> Any:
        """The token's claims. `audience`: one of them must be the token's; `require`: claims that it must have.

        Raises jwt.PyJWTError, whose text may quote the token: only its class may be shown.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise MalformedToken
        try:
            return self._verify(token, audience=audience, issuer=issuer, require=require)
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise MalformedToken from None

    def _verify(self, token: str, *, audience: str | Sequence[str], issuer: str | None, require: Sequence[str]) -> Any:
        key_id = jwt.get_unverified_header(token).get("kid")
        failure: jwt.PyJWTError = UnknownSigningKey()
        for key in self.keys:
            if key.key_id != key_id:
                continue
            try:
                return jwt.decode(
                    token,
                    key=key.key,
                    algorithms=key.algorithms,
                    audience=audience,
                    issuer=issuer,
                    leeway=LEEWAY_SECONDS,
                    options={"require": list(require)},
                )
            except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as error:
                failure = error  # another key of the same name may fit
        raise failure


def parse_jwks(data: bytes) -> SigningKeys:
    """Keys of a kind or for a use that is not ours are left out, as RFC 7517 (5) asks. Raises Malformed."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Malformed("it is not JSON in UTF-8") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise Malformed("a JWKS is an object with a list `keys`")
    if len(entries) > MAX_KEYS:
        raise Malformed(f"it has more than {MAX_KEYS} keys")
    listed = [entry for entry in entries if isinstance(entry, dict)]
    if any(part in entry for entry in listed for part in SECRET_PARTS):
        raise Malformed("it holds a private or symmetric key: write public keys only, and replace that key")
    keys = tuple(key for entry in listed if (key := _read_key(entry)) is not None)
    if entries and not keys:
        raise Malformed(
            f"none of its keys can be used: write RSA keys of {RSA_BITS[0]} to {RSA_BITS[-1]} bits, or EC or Ed25519 "
            "keys, for signatures"
        )
    return SigningKeys(keys)


def _read_key(entry: Mapping[str, Any]) -> SigningKey | None:
    """None: not a key that signs tokens in a way that is taken."""
    operations, key_id, named = entry.get("key_ops"), entry.get("kid"), entry.get("alg")
    if entry.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        return None
    if not isinstance(key_id, str | None):
        return None
    try:
        found = _read_public_key(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if found is None:
        return None
    key, fitting = found
    algorithms = fitting if named is None else [name for name in fitting if name == named]
    return SigningKey(key=key, key_id=key_id, algorithms=algorithms) if algorithms else None


def _read_public_key(entry: Mapping[str, Any]) -> tuple[Any, Sequence[str]] | None:
    """A key with the algorithms that it can be used with."""
    kind = entry.get("kty")
    if kind == "RSA":
        key = RSAAlgorithm.from_jwk(dict(entry))
        return (key, RSA_ALGORITHMS) if isinstance(key, RSAPublicKey) and key.key_size in RSA_BITS else None
    algorithm = CURVE_ALGORITHMS.get(str(entry.get("crv")))
    if kind not in ("EC", "OKP") or algorithm is None or (kind == "OKP") != (algorithm == "EdDSA"):
        return None
    return (ECAlgorithm if kind == "EC" else OKPAlgorithm).from_jwk(dict(entry)), (algorithm,)
