"""Text from a model's files in messages and reports: short, on one line, without control characters."""


def escape(text: str) -> str:
    """The text with everything that does not print written as an escape: a file must not steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quote(text: str | None, *, limit: int = 80) -> str:
    """The text in double quotes, at most `limit` characters of it; words for None."""
    if text is None:
        return "not there"
    shown = escape(text[: limit + 1])
    return f'"{shown}"' if len(text) <= limit else f'"{shown[: limit - 3]}..."'
