"""The pieces of one document as one sequence of tokens, and where in it each piece stands.

Each piece is tokenised by itself, so that every token belongs to one of them: words of two pieces never become one
word. The special tokens before the first and behind the last belong to those, as in the authors' own evaluation of late
chunking (jina-ai/late-chunking, chunked_pooling/mteb_chunked_eval.py): a document of one piece has its ordinary vector.
"""

from itertools import accumulate, pairwise

import tokenizers

from embedding_runtime.core.inputs import Chunks
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.errors import InvalidRequest


def encode_chunks(backend: tokenizers.Tokenizer, chunks: Chunks, *, max_tokens: int, prompt_length: int) -> Tokens:
    """`prompt_length`: tokens of the prompt, which stands before the first piece, and of what is before it.

    Raises InvalidRequest for a piece without a token and for more tokens than the model takes: nothing is cut, for what
    is cut off would be whole pieces.
    """
    first, *others = chunks.texts
    pieces = [chunks.prompt + first, *others]
    if len(pieces) > max_tokens:
        raise too_long(len(pieces), max_tokens=max_tokens)
    encodings = backend.encode_batch(pieces, add_special_tokens=False)
    empty = next((index for index, encoding in enumerate(encodings) if not encoding.ids), None)
    if empty is not None:
        raise InvalidRequest(f"Input {empty} holds no token for this model; leave it out.", param="input")
    bare = tokenizers.Encoding.merge(encodings, growing_offsets=False)
    whole = backend.post_process(bare)
    if len(whole.ids) > max_tokens:
        raise too_long(len(whole.ids), max_tokens=max_tokens)
    before = _find(bare.ids, within=whole.ids)
    inner = list(accumulate(len(encoding.ids) for encoding in encodings[:-1]))
    ends = [0, *(before + end for end in inner), len(whole.ids)]
    return Tokens(ids=whole.ids, prompt_length=prompt_length, wants=chunks.wants, spans=tuple(pairwise(ends)))


def too_long(tokens: int, *, max_tokens: int) -> InvalidRequest:
    return InvalidRequest(
        f"late_chunking reads all inputs as one text: they have {tokens} tokens or more together, and the model takes "
        f"{max_tokens}. Send fewer or shorter ones at once.",
        param="input",
    )


def _find(part: list[int], *, within: list[int]) -> int:
    """Where in a sequence its part begins: behind the special tokens."""
    return next(start for start in range(len(within)) if within[start : start + len(part)] == part)
