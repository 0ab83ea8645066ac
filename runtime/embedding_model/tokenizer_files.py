"""Which file a tokenizer is built from. Inspection and runtime decide by this one rule.

tokenizer.json says everything about a tokenizer. Without it the class of transformers says the rest; here only BERT's
rules are known, and they need vocab.txt.
"""

import re
from collections.abc import Container

from embedding_model.refusal import Reason, Refusal

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
VOCABULARY_FILE = "vocab.txt"

# Families whose vocab.txt is WordPiece with BERT's special tokens. (MPNet's has RoBERTa's beside WordPiece.)
WORDPIECE_FAMILIES = frozenset({"bert", "distilbert"})
WORDPIECE_SPECIALS = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")

# LaBSE, the largest WordPiece vocabulary, has 501,153 tokens in 5.2 MB; one token takes about 150 bytes of memory.
VOCABULARY_LIMIT = 8 * 1024 * 1024  # bytes
_MOST_TOKENS = 600_000

# Unicode's White_Space, as Rust's trim_end knows it: str.rstrip would also take the separators U+001C to U+001F.
_TRAILING_SPACE = re.compile("[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$")


def choose_tokenizer_file(names: Container[str], *, family: str) -> str:
    """The one of the names (of files in the transformer's folder) that the tokenizer is built from.

    Raises Refusal(MISSING_FILE) when there is none for this family.
    """
    if TOKENIZER_FILE in names:
        return TOKENIZER_FILE
    if VOCABULARY_FILE in names and family in WORDPIECE_FAMILIES:
        return VOCABULARY_FILE
    raise Refusal(
        Reason.MISSING_FILE,
        f"the model has no {TOKENIZER_FILE}, and a tokenizer for {family} is not built from other files "
        f"({VOCABULARY_FILE} serves {' and '.join(sorted(WORDPIECE_FAMILIES))}): save the tokenizer with a current "
        f"version of transformers (AutoTokenizer.from_pretrained(...).save_pretrained(...)), which writes "
        f"{TOKENIZER_FILE}",
    )


def read_vocabulary(data: bytes) -> dict[str, int]:
    """Token -> id of a vocab.txt: one token a line, its number the id; of a token on two lines the last counts.

    Lines end at "\\n" alone and lose their trailing white space, as in the tokenizers library (WordPiece's read_file):
    U+2028 and its like stand inside tokens. Raises Refusal(INVALID_FILE) for what is not UTF-8 and where a special
    token of BERT is missing, TOO_LARGE.
    """
    if len(data) > VOCABULARY_LIMIT or data.count(b"\n") > _MOST_TOKENS:
        raise Refusal(
            Reason.TOO_LARGE,
            f"{VOCABULARY_FILE} has more than {VOCABULARY_LIMIT} bytes or {_MOST_TOKENS} tokens; it is no vocabulary of"
            " a known model",
        )
    try:
        lines = data.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise Refusal(Reason.INVALID_FILE, f"{VOCABULARY_FILE}: expected UTF-8 text, found other bytes") from None
    ids = {_TRAILING_SPACE.sub("", line): index for index, line in enumerate(lines)}
    missing = [token for token in WORDPIECE_SPECIALS if token not in ids]
    if missing:
        raise Refusal(Reason.INVALID_FILE, f"{VOCABULARY_FILE} lacks the special tokens {', '.join(missing)}")
    return ids
