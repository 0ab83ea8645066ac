"""A model with seeded weights, and sentence-transformers' files beside it."""

import inspect
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# A bias that is not small would drown the words; one of zero would hide that it was left out.
_VECTORS = 0.2


def save_model(
    folder: Path,
    *,
    start: str,
    name: str,
    labels: int | None,
    values: Mapping[str, Any],
    seed: int,
    spread: float,
) -> int:
    """config.json and model.safetensors of transformers' class `name`; `start` is the beginning of its names.

    Returns the width of a token's vector.
    """
    import torch
    import transformers

    more = {} if labels is None else {"num_labels": labels}
    config = getattr(transformers, f"{start}Config")(**values, **more)
    model = getattr(transformers, name)(config)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = torch.randn(parameter.shape, generator=source)
            # A norm's weights stay around what transformers begins with: 1, or 0 where the class adds the 1 itself.
            parameter.copy_(drawn * spread if parameter.ndim > 1 else parameter + drawn * _VECTORS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own deprecations
        model.save_pretrained(folder)
    return int(config.hidden_size)


def name_types(folder: Path, *, name: str) -> None:
    """Let the tokenizer give types where transformers' class takes them: it does so only when its files say it."""
    import transformers

    if "token_type_ids" in inspect.signature(getattr(transformers, name).forward).parameters:
        path = folder / "tokenizer_config.json"
        settings = json.loads(path.read_text())
        settings["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
        path.write_text(json.dumps(settings, indent=2))


_KEYS = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "weightedmean": "weightedmean_tokens"}
_MODES = ("cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


def save_sentence_files(
    folder: Path,
    *,
    width: int,
    pooling: str,
    normalize: bool,
    include_prompt: bool,
    prompts: Mapping[str, str],
    max_length: int,
) -> None:
    """modules.json and what it names, as sentence-transformers 3 to 5 wrote them."""
    if pooling not in _MODES:
        raise ValueError(f"no pooling mode {pooling}; known are {', '.join(_MODES)}")
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    files: dict[str, Any] = {
        "modules.json": [
            {
                "idx": index,
                "name": str(index),
                "path": f"{index}_{kind}" if index else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for index, kind in enumerate(modules)
        ],
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": dict(prompts), "default_prompt_name": None},
        "1_Pooling/config.json": {
            "word_embedding_dimension": width,
            "include_prompt": include_prompt,
            **{f"pooling_mode_{_KEYS.get(mode, mode)}": mode == pooling for mode in _MODES},
        },
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2))
