"""What a request cost, as headers: TEI's names, times in whole milliseconds, and one of ours for what was cut."""

from embedding_runtime.core.measured import Measured

TRUNCATED = b"x-truncated-inputs"


def measured_headers(measured: Measured, *, total_seconds: float) -> list[tuple[bytes, bytes]]:
    """Names as in router/src/http/server.rs of huggingface/text-embeddings-inference, 1.9."""
    numbers = {
        b"x-compute-characters": measured.characters,
        b"x-compute-tokens": measured.tokens,
        b"x-total-time": _milliseconds(total_seconds),
        b"x-tokenization-time": _milliseconds(measured.tokenize_seconds),
        b"x-queue-time": _milliseconds(measured.queue_seconds),
        b"x-inference-time": _milliseconds(measured.inference_seconds),
        TRUNCATED: measured.truncated,
    }
    return [(name, str(number).encode()) for name, number in numbers.items()]


def _milliseconds(seconds: float) -> int:
    return round(max(0.0, seconds) * 1000)
