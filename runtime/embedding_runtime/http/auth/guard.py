"""The check of the public port: an API key or a token; where both are configured, either is enough."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jwt

from embedding_runtime.errors import Unauthorized
from embedding_runtime.http.auth.api_keys import ApiKeys, watch_api_keys
from embedding_runtime.http.auth.signing_keys import SigningKeys, UnknownSigningKey, parse_jwks
from embedding_runtime.http.auth.watched_file import WatchedFile
from embedding_runtime.settings import ServeSettings

MAX_JWKS_BYTES = 512 * 1024
MAX_CREDENTIAL_CHARACTERS = 16 * 1024

# The first class that an error is of; each tells the client what to get anew.
REASONS: Mapping[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is meant for another audience",
    jwt.InvalidIssuerError: "the token comes from another issuer",
    jwt.MissingRequiredClaimError: "the token lacks the claim exp or aud",
    UnknownSigningKey: "the token is signed with a key that is not known here",
    jwt.InvalidAlgorithmError: "the token is signed in a way that is not taken",
    jwt.InvalidSignatureError: "the token's signature is wrong",
}


@dataclass(frozen=True)
class TokenRules:
    """Whose tokens are taken: `issuer` None is anybody whose key is in the file."""

    keys: WatchedFile[SigningKeys]
    audiences: Sequence[str]
    issuer: str | None

    def find_fault(self, token: str) -> str | None:
        """None for a token that is taken, else in words what is wrong with it."""
        try:
            self.keys.current().verify(token, audience=self.audiences, issuer=self.issuer, require=("exp", "aud"))
        except jwt.PyJWTError as error:
            return next((words for kind, words in REASONS.items() if isinstance(error, kind)), "the token is malformed")
        return None


class Guard:
    """`name_model` gives the model's name, by which a client that reached the wrong server recognises it."""

    def __init__(
        self,
        *,
        api_keys: WatchedFile[ApiKeys] | None,
        tokens: TokenRules | None,
        name_model: Callable[[], str],
    ) -> None:
        self._api_keys = api_keys
        self._tokens = tokens
        self._name_model = name_model

    def check(self, authorization: str | None) -> None:
        """Raises Unauthorized."""
        fault = self._find_fault(authorization or "")
        if fault is None:
            return
        kinds = [word for word, part in (("an API key", self._api_keys), ("a token (JWT)", self._tokens)) if part]
        raise Unauthorized(
            f"This is the embedding-runtime server of the model {self._name_model()}. It needs {' or '.join(kinds)} "
            f"in the header `Authorization: Bearer ...`, but {fault}. If another server was meant, check the client's "
            "base URL."
        )

    def _find_fault(self, authorization: str) -> str | None:
        """None for a request that may go on, else in words why it may not."""
        words = authorization.split()
        # A client that has no key sends nothing, or the scheme alone; some send the key without the scheme.
        if words and words[0].lower() == "bearer":
            del words[0]
        if not words:
            return "the request has none"
        if len(words) > 1:
            return "the header has another form"
        [credential] = words
        if len(credential) > MAX_CREDENTIAL_CHARACTERS:
            return "the header is too long"
        if self._api_keys is not None and self._api_keys.current().include(credential):
            return None
        if self._tokens is not None and (self._api_keys is None or credential.count(".") == 2):
            return self._tokens.find_fault(credential)
        return "the key is none of those that are taken here"


def build_guard(settings: ServeSettings, *, name_model: Callable[[], str]) -> Guard | None:
    """None where no file of keys is named: everybody may ask. Raises Refusal."""
    if settings.api_keys is None and settings.jwks is None:
        return None
    tokens = None
    if settings.jwks is not None:
        keys = WatchedFile(
            settings.jwks,
            what="the public keys of tokens",
            field="auth.jwt.jwksConfigMapRef",
            max_bytes=MAX_JWKS_BYTES,
            parse=parse_jwks,
        )
        tokens = TokenRules(keys=keys, audiences=settings.jwt_audiences, issuer=settings.jwt_issuer)
    api_keys = watch_api_keys(settings.api_keys) if settings.api_keys else None
    return Guard(api_keys=api_keys, tokens=tokens, name_model=name_model)
