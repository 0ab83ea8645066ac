"""From a folder or a cache to something that computes. Runs in one thread, before there is anything to serve.

Importing torch and the model class takes seconds and reading the files takes a disk: both happen at once. This is the
one module outside backends/ and architectures/ that reaches for torch, and it does so inside functions.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.gguf_model import FORMAT as GGUF_FORMAT
from embedding_model.refusal import Refusal, Unavailable
from embedding_model.resolved import Declared, Inspection, ResolvedModel
from embedding_model.serving import Overrides
from embedding_model.sources.listing import CONFIG_LIMIT, missing_file
from embedding_model.sources.reading import open_regular
from embedding_model.sources.selection import CONFIG_FILE
from embedding_runtime.backends.backend import Backend
from embedding_runtime.core.input_tokenizers import load_tokenizer
from embedding_runtime.core.tokenizing import Tokenizer
from embedding_runtime.cpu import count_cpus
from embedding_runtime.files import Place, cache_place, files_in, folder_place, read_files
from embedding_runtime.gguf_files import show_gguf
from embedding_runtime.memory import LoadMemory, measure_process
from embedding_runtime.served_model import ServedModel, name_model, read_resolved, resolve_folder
from embedding_runtime.settings import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, ServeSettings


@dataclass(frozen=True)
class LoadedModel:
    """`seconds` names how long each step took, `memory` how much of it loading took."""

    model: ServedModel
    tokenizer: Tokenizer
    backend: Backend
    workers: int
    max_batch_tokens: int
    seconds: dict[str, float]
    memory: LoadMemory | None = None


def load_model(settings: ServeSettings) -> LoadedModel:
    """Resolve (or read the resolved model), read and hash every file, build tokenizer and backend. Raises Refusal."""
    steps = _Steps()
    imports = _Imports()
    resolved, place = _find(settings)
    imports.start(lambda: _read_config(resolved, place=place), inspection=resolved.inspection)
    model = name_model(resolved, served_names=settings.served_names)
    steps.done("resolve")
    cpus = count_cpus()
    files = show_gguf(read_files(place, manifest=resolved.manifest, threads=cpus))
    steps.done("read")
    own = files_in(files, folder=resolved.inspection.folder)
    tokenizer = load_tokenizer(own, inspection=resolved.inspection, serving=model.serving)
    steps.done("tokenizer")
    imports.wait()
    steps.done("import")

    from embedding_runtime.backends.torch_backend import load_backend, pick_device

    device = pick_device(settings.device)
    on_gpu = device.type == "cuda"
    workers = settings.workers or (1 if on_gpu else cpus)
    backend = load_backend(
        files,
        inspection=resolved.inspection,
        serving=model.serving,
        device=device,
        dtype=settings.dtype,
        threads=workers,
    )
    steps.done("load")
    peak, resident = measure_process()
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        backend=backend,
        workers=workers,
        max_batch_tokens=settings.max_batch_tokens or (GPU_BATCH_TOKENS if on_gpu else CPU_BATCH_TOKENS),
        seconds=steps.seconds,
        memory=LoadMemory(
            peak=peak, resident=resident, device_peak=backend.peak_bytes, device_resident=backend.resident_bytes
        ),
    )


def _find(settings: ServeSettings) -> tuple[ResolvedModel, Place]:
    """What is served and where its files are. Raises Refusal, Unavailable."""
    if settings.cache is not None:
        if settings.resolved is None:
            raise ValueError("a cache holds files by their hashes only; it needs the resolved model that names them")
        return read_resolved(settings.resolved), cache_place(settings.cache, verify=settings.cache_verify)
    if settings.model is None:
        raise ValueError("nothing to serve: neither a folder nor a cache was given")
    if settings.resolved is not None:
        return read_resolved(settings.resolved), folder_place(settings.model)
    declared = Declared(task=settings.task, pooling=settings.pooling)
    overrides = Overrides(pooling=settings.pooling, quantization=settings.quantization)
    return resolve_folder(settings.model, declared=declared, overrides=overrides), folder_place(settings.model)


def _read_config(resolved: ResolvedModel, *, place: Place) -> dict[str, Any]:
    """Without its hash, only to know what to import; what is built is decided by the checked file."""
    if resolved.inspection.weights.format == GGUF_FORMAT:
        return {}  # it is in the weights; transformers' class computes whatever it says
    folder = resolved.inspection.folder
    path = f"{folder}/{CONFIG_FILE}" if folder else CONFIG_FILE
    entry = resolved.manifest.entry(path)
    if entry is None:
        raise missing_file(path)
    with open_regular(place.locate(entry)) as file:
        found: dict[str, Any] = orjson.loads(file.read(CONFIG_LIMIT))
    return found


class _Imports:
    """The slow imports, in a thread. What they raise is raised by `wait`."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, config: Callable[[], dict[str, Any]], *, inspection: Inspection) -> None:
        """`config` reads the model's configuration; it may raise Refusal and Unavailable."""
        self._thread = threading.Thread(target=self._run, args=(config, inspection), name="imports", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        assert self._thread is not None
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self, config: Callable[[], dict[str, Any]], inspection: Inspection) -> None:
        try:
            import embedding_runtime.backends.torch_backend  # noqa: F401
            from embedding_runtime.architectures.families import find_architecture
            from embedding_runtime.architectures.network import head_of, is_native

            architecture, head = find_architecture(inspection.family), head_of(inspection)
            if not is_native(architecture, config=config(), head=head):
                architecture.import_config()
                architecture.import_class(FAMILIES[inspection.family].classes[head])
        except (OSError, ValueError, Refusal, Unavailable):
            pass  # a broken file is reported by the step that reads it for good
        except BaseException as error:
            self._error = error


class _Steps:
    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds: dict[str, float] = {}

    def done(self, name: str) -> None:
        now = self._clock()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now
