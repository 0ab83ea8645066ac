"""What a request cost: answered in its usage and headers, and counted in metrics."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of one request, over all of its inputs. Times in seconds.

    `tokens` counts special tokens, prompts and templates, after truncation. `queue_seconds` is how long the request
    waited for a worker, `inference_seconds` from then to its last output: other requests' batches between its own count
    there. `encoded`: how many of the inputs came as token ids.
    """

    inputs: int
    characters: int
    tokens: int
    truncated: int
    tokenize_seconds: float
    queue_seconds: float
    inference_seconds: float
    encoded: int = 0
