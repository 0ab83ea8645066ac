"""Which prompt the library is given: its own by name where its file holds it, else the text that is served."""

from pathlib import Path
from typing import Any

import orjson

from embedding_model.resolved import ResolvedModel

_LIBRARY_FILE = "config_sentence_transformers.json"


class PromptChoice:
    """Of one model; `folder` holds its files."""

    def __init__(self, folder: Path, *, resolved: ResolvedModel) -> None:
        self._serving = resolved.serving
        inspected = resolved.inspection
        is_own = (self._serving.prompts, self._serving.default_prompt) == (inspected.prompts, inspected.default_prompt)
        written = _read_prompts(folder) if is_own else {}
        # Empty ones are written by the library itself and mean nothing: then the prompts are those of the model's card.
        self._own = written if any(written.values()) else {}
        self._default_is_own = is_own and bool(self._own)

    def choose(self, name: str | None) -> dict[str, Any]:
        """Options of encode for a prompt by its name; None: the default one, if there is one."""
        if name is None and self._default_is_own:
            return {}
        if name in self._own:
            return {"prompt_name": name}
        asked = name or self._serving.default_prompt
        prompt = self._serving.prompt(asked) if asked else None
        return {"prompt": prompt.text if prompt else ""}


def _read_prompts(folder: Path) -> dict[str, str]:
    try:
        written = orjson.loads((folder / _LIBRARY_FILE).read_bytes()).get("prompts")
    except (FileNotFoundError, ValueError, AttributeError):
        return {}
    return written if isinstance(written, dict) else {}
