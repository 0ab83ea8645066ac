"""transformers' own networks and tokenizers, without sentence-transformers around them."""

from pathlib import Path
from typing import Any

import torch
import transformers

from embedding_runtime.reference.libraries import FROM_FILES, IN_FLOAT32, require_complete


def load_network(folder: Path, *, kind: str, device: torch.device) -> Any:
    """The network of the Auto class `kind`, in float32.

    Raises Refusal(INCOMPLETE_WEIGHTS), and what the library raises.
    """
    network, report = getattr(transformers, kind).from_pretrained(
        str(folder), output_loading_info=True, **FROM_FILES, **IN_FLOAT32
    )
    require_complete(report)
    return network.eval().to(device)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer that transformers chooses for the folder."""
    return transformers.AutoTokenizer.from_pretrained(str(folder), **FROM_FILES)
