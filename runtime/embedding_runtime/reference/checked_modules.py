"""sentence-transformers' own modules, which refuse weights that leave a part of the network random."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import MLMTransformer

from embedding_model.sources.selection import MODULES_FILE, ROUTER_FILE
from embedding_runtime.reference.libraries import FROM_FILES, IN_FLOAT32, require_complete

# BERT's pooler stands in every class of a body, and a body that was saved without one has none. It is never read where
# the hidden states are.
_UNUSED = ("pooler.",)


class _Checked:
    """`_load_model` of the library asks from_pretrained for the model alone; here also for what it left random."""

    def _load_model(self, *arguments: Any, **options: Any) -> Any:
        model, report = super()._load_model(*arguments, **options, output_loading_info=True)  # type: ignore[misc]
        reads_hidden_states = getattr(self, "transformer_task", None) == "feature-extraction"
        require_complete(report, unused=_UNUSED if reads_hidden_states else ())
        return model


class CheckedTransformer(_Checked, Transformer):  # type: ignore[misc]
    """The first module of every model that the library builds."""


class CheckedMLMTransformer(_Checked, MLMTransformer):  # type: ignore[misc]
    """The same under the name that sparse models were saved with before version 5.4."""


_CLASSES: Mapping[str, type] = {"Transformer": CheckedTransformer, "MLMTransformer": CheckedMLMTransformer}


def has_modules(folder: Path) -> bool:
    """Whether the library's own files say what the model is made of."""
    return (folder / MODULES_FILE).exists()


def load_saved(kind: Any, *, folder: Path, device: str, **options: Any) -> Any:
    """A model that the library saved, of its class `kind`, as the library itself reads it, in float32."""
    return kind._load_with_module_classes(
        str(folder), _name_classes(folder), device=device, model_kwargs=dict(IN_FLOAT32), **FROM_FILES, **options
    )


def load_transformer(folder: Path, *, task: str, **config: Any) -> Any:
    """The first module of a model that the library did not save; `task` is one of its transformer_task.

    `config` are values of the configuration in place of those of the file.
    """
    return CheckedTransformer(
        str(folder),
        transformer_task=task,
        model_kwargs={**FROM_FILES, **IN_FLOAT32},
        processor_kwargs=dict(FROM_FILES),
        config_kwargs={**FROM_FILES, **config},
    )


def _name_classes(folder: Path) -> dict[str, type]:
    """Class references of modules.json, and of a router's configuration, to the checked classes."""
    references = [str(entry["type"]) for entry in orjson.loads((folder / MODULES_FILE).read_bytes())]
    for path in folder.rglob(ROUTER_FILE):
        references += map(str, orjson.loads(path.read_bytes())["types"].values())
    named = {reference: _CLASSES.get(reference.rpartition(".")[2]) for reference in references}
    return {reference: found for reference, found in named.items() if found is not None}
