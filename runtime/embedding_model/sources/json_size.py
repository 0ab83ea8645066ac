"""How much memory a JSON document may take, known before it is parsed.

A document of four megabytes that holds nothing but empty lists becomes a hundred and fifty in memory, and several times
that where every one of them is a mistake to be listed. The operator reads documents of strangers, with a few hundred
megabytes for everything.
"""

# Each takes at most about 100 bytes once parsed. A safetensors header has 9 for each tensor, a hub's list 9 for each
# file, the largest tokenizer_config.json 60,000.
MOST_VALUES = 250_000


def check_json_size(data: bytes) -> None:
    """Raises ValueError for a document that may hold more than MOST_VALUES values.

    Counted are the characters that begin a value, also those within strings: too many rather than too few.
    """
    found = data.count(b",") + data.count(b"[") + data.count(b"{")
    if found > MOST_VALUES:
        raise ValueError(f"the document has up to {found} values; at most {MOST_VALUES} are read")
