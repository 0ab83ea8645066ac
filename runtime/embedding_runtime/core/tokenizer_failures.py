"""How the tokenizers library fails, which is written in Rust.

Its errors are bare Exceptions. Its panics are no Exception at all, so that no `except Exception` sees them: one text
would end the request, or the start of the process, without a word of ours.
"""

import contextlib
import logging
from collections.abc import Iterator

from embedding_runtime.errors import TokenizerFailed

logger = logging.getLogger(__name__)


def is_library_failure(error: BaseException) -> bool:
    return type(error) is Exception or type(error).__name__ == "PanicException"


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Raises TokenizerFailed in place of the library's failures, whose messages may hold text of the user."""
    try:
        yield
    except BaseException as error:
        if not is_library_failure(error):
            raise
        logger.error("the tokenizer failed at an input: %s", type(error).__name__)
        raise TokenizerFailed(
            "The model's tokenizer failed at one of the inputs. The same inputs would fail again: send them one by one "
            "to find which, and leave it out."
        ) from None
