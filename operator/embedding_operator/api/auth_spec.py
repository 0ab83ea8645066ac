"""`spec.auth`: who may ask the model."""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from embedding_operator.api.fields import ConfigMapReference, SecretReference, SpecModel
from embedding_operator.api.rules import ListSet, Pattern, Rule, with_rules

# What a header and a command line carry as it is; a comma or a space is a sign that a list was meant.
_CLAIM: Final = Pattern(
    r"[!-+\--~]{1,256}",
    "write the value exactly as the tokens have it, for example https://login.example.com/ or search, without spaces "
    "and commas",
)
_ONE_WAY: Final = "set apiKeysSecretRef, jwt, or both; leave auth out to let everybody ask who reaches the Service"


class JwtSpec(SpecModel):
    """Tokens (JWT) that are taken: signed with a key of the JWKS, not expired, and meant for one of the audiences."""

    jwks_config_map_ref: Annotated[
        ConfigMapReference,
        Field(
            description=(
                "ConfigMap of the same namespace whose key jwks.json holds the public keys (RFC 7517). Pods read it "
                "again when it changes."
            )
        ),
    ]
    audiences: Annotated[
        tuple[Annotated[str, _CLAIM, Field(max_length=256)], ...],
        Field(
            min_length=1, max_length=16, description="The claim aud of a token must name one of them, and exp be ahead."
        ),
        ListSet(),
    ]
    issuer: Annotated[
        str | None,
        Field(max_length=256, description="The claim iss that a token must have. Unset: whoever the keys belong to."),
        _CLAIM,
    ] = None


class AuthSpec(SpecModel):
    """Who may ask the model. Where both ways are set, either is enough."""

    model_config = with_rules(Rule("has(self.apiKeysSecretRef) || has(self.jwt)", _ONE_WAY))

    api_keys_secret_ref: Annotated[
        SecretReference | None,
        Field(
            description=(
                "Secret of the same namespace whose key embedding-api-keys holds the keys, one on each line. Only the "
                "serving pods see it, as a file, which they read again when it changes; the operator reads no Secret."
            )
        ),
    ] = None
    jwt: Annotated[
        JwtSpec | None,
        Field(
            description=(
                "Tokens (JWT) that are taken: signed with a key of the JWKS, not expired, and meant for one of the "
                "audiences."
            )
        ),
    ] = None

    @model_validator(mode="after")
    def _check_one_way(self) -> Self:
        if self.api_keys_secret_ref is None and self.jwt is None:
            raise ValueError(_ONE_WAY)
        return self
