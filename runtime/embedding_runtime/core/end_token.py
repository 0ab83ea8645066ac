"""The token behind every input: last-token pooling reads the whole text in it, so an input without it has no meaning.

Inspection reads in tokenizer.json that the token is put there. Here the tokenizer that really runs is held to it: when
it is loaded, with texts that are empty, short and too long, and with every input. Without its end token e5-mistral
gives a text a cosine of 0.33 with itself.
"""

from collections.abc import Sequence

from embedding_model.inspection.quoting import quote
from embedding_model.refusal import Reason, Refusal
from embedding_runtime.core.inputs import Encoded, Input, Text
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.tokenizer import TextTokenizer
from embedding_runtime.core.tokenizing import Tokenizer
from embedding_runtime.core.vocabulary import Vocabulary
from embedding_runtime.errors import InvalidRequest, MissingEndToken


class EndCheckedTokenizer:
    """A tokenizer that gives nothing out that does not end with `end_id`. Thread-safe as it is itself."""

    def __init__(self, tokenizer: Tokenizer, *, end_id: int) -> None:
        self._tokenizer = tokenizer
        self._end_id = end_id

    @property
    def max_tokens(self) -> int:
        return self._tokenizer.max_tokens

    @property
    def vocabulary(self) -> Vocabulary:
        return self._tokenizer.vocabulary

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        """Raises MissingEndToken, InvalidRequest for ids of a client without it."""
        encoded = self._tokenizer.encode(inputs)
        for item, tokens in zip(inputs, encoded, strict=True):
            if ends_with(tokens, self._end_id):
                continue
            if isinstance(item, Encoded):
                raise InvalidRequest(
                    f"An input of token ids does not end with {self._end_id}, the token that the model's vectors are "
                    "read from: add it, or let POST /tokenize make the ids.",
                    param="input",
                )
            raise MissingEndToken(
                "The tokenizer left out the end token that the model's vectors are read from. Nothing wrong is "
                "returned instead; the model's tokenizer.json has to be repaired."
            )
        return encoded


def require_end_token(tokenizer: TextTokenizer, *, end_token: str) -> EndCheckedTokenizer:
    """Raises Refusal(CONTRADICTORY_EVIDENCE) for a tokenizer that does not put `end_token` behind every text."""
    end_id = tokenizer.token_id(end_token)
    too_long = "word " * (tokenizer.max_tokens + 1)
    texts = {"an empty text": "", "a short text": "word", "a text that is cut": too_long}
    encoded = tokenizer.encode([Text(text) for text in texts.values()])
    for what, tokens in zip(texts, encoded, strict=True):
        if end_id is None or not ends_with(tokens, end_id):
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"tokenizer.json is to put {quote(end_token)} behind every text, since the model's vector is read from "
                f"it, but {what} comes out of the tokenizer without it: save the tokenizer again, or use a revision "
                "whose tokenizer.json adds the token",
            )
        if len(tokens.ids) > tokenizer.max_tokens:
            raise Refusal(
                Reason.INVALID_OVERRIDE,
                f"{tokenizer.max_tokens} tokens are too few for this model: its tokenizer puts as many around every "
                "text. Set embedding.maxInputTokens higher",
                field="embedding.maxInputTokens",
            )
    assert end_id is not None
    return EndCheckedTokenizer(tokenizer, end_id=end_id)


def ends_with(tokens: Tokens, end_id: int) -> bool:
    return bool(tokens.ids) and tokens.ids[-1] == end_id
