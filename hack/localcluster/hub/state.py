"""What the hub knows besides its repositories: tokens, gates and faults, in one JSON file.

The file is the interface between the command line and the running server: both change it under a lock, and the server
reads it at every request, so a fault added by hand works at once.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path


class FaultKind(StrEnum):
    """What goes wrong, and what a fault's `value` means for it.

    slow      `value` bytes per second
    cut       the connection ends after `value` bytes of the answer (default: half of it)
    stall     nothing more comes after `value` bytes of the answer (default: half), and the connection stays open
    flip      one bit of the byte at offset `value` of the file is wrong (default: in the middle)
    size      the file is `value` bytes longer, or shorter if negative, than listed (default: one byte shorter)
    norange   Range is ignored: 200 and the whole file
    429, 503  `value` is Retry-After in seconds
    hang      the request is taken and never answered
    down      the connection ends without an answer
    """

    SLOW = "slow"
    CUT = "cut"
    STALL = "stall"
    FLIP = "flip"
    WRONG_SIZE = "size"
    NO_RANGE = "norange"
    TOO_MANY_REQUESTS = "429"
    UNAVAILABLE = "503"
    HANG = "hang"
    DOWN = "down"


BODY_FAULTS = frozenset(
    (FaultKind.SLOW, FaultKind.CUT, FaultKind.STALL, FaultKind.FLIP, FaultKind.WRONG_SIZE, FaultKind.NO_RANGE)
)
POSITIONED_FAULTS = frozenset((FaultKind.CUT, FaultKind.STALL, FaultKind.FLIP))


@dataclass(frozen=True)
class Span:
    """Bytes start..end of a file of `size` bytes (end excluded); `partial` when a Range asked for them."""

    start: int
    end: int
    size: int
    partial: bool


@dataclass(frozen=True)
class Fault:
    """Applied to requests whose path matches `path_glob` (`*` matches slashes too), `times` times or until cleared.

    Body faults touch answers with a body only; 429, 503, hang and down any request. An LFS file's body comes from a
    path that ends with the file's own path, so `*/model.safetensors` matches it.

    `fraction` (0 to below 1), instead of `value`, puts a cut, stall or flip at that part of the whole file, whichever
    answer holds it: `times` counts only answers that do.
    """

    path_glob: str
    kind: FaultKind
    value: int | None = None
    times: int | None = None
    fraction: float | None = None

    def matches(self, path: str) -> bool:
        return self.times != 0 and fnmatchcase(path, self.path_glob)

    def touches(self, span: Span) -> bool:
        """Whether an answer of these bytes holds the place of the fault."""
        return self.fraction is None or span.start <= self.offset(span) < span.end

    def offset(self, span: Span) -> int:
        """Where in the file a cut, stall or flip happens when this span of it is sent."""
        if self.fraction is not None:
            return int(span.size * self.fraction)
        if self.kind is FaultKind.FLIP:
            return self.value if self.value is not None else span.size // 2
        sent = self.value if self.value is not None else (span.end - span.start) // 2
        return min(span.start + sent, span.end)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))
        if self.fraction is not None and (self.kind not in POSITIONED_FAULTS or not 0 <= self.fraction < 1):
            raise ValueError(f"a fraction is from 0 to below 1, and for cut, stall and flip; found {self.fraction}")


@dataclass(frozen=True)
class Gate:
    """`private`: invisible without a token. `gated`: listed for all, read only with a token in `allowed`."""

    private: bool = False
    gated: bool = False
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    tokens: tuple[str, ...] = ()
    gates: dict[str, Gate] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    signing_key: str = ""

    def gate(self, repo: str) -> Gate:
        return self.gates.get(repo, Gate())


class StateFile:
    """`state.json` in `folder`; every method is safe against other processes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "state.json"
        self._lock = folder / "state.lock"

    def read(self) -> State:
        with self._locked():
            return self._load()

    def add_token(self, token: str) -> None:
        with self._changing() as state:
            self._save(replace(state, tokens=tuple(dict.fromkeys((*state.tokens, token)))))

    def set_gate(self, repo: str, gate: Gate) -> None:
        with self._changing() as state:
            self._save(replace(state, gates={**state.gates, repo: gate}))

    def add_fault(self, fault: Fault) -> None:
        with self._changing() as state:
            self._save(replace(state, faults=(*state.faults, fault)))

    def clear_faults(self) -> None:
        with self._changing() as state:
            self._save(replace(state, faults=()))

    def take_fault(self, path: str, *, span: Span | None) -> Fault | None:
        """The first fault for a request (with `span`: for that body of its answer), counted as used once."""
        with self._changing() as state:
            for index, fault in enumerate(state.faults):
                if not fault.matches(path) or (fault.kind in BODY_FAULTS) != (span is not None):
                    continue
                if span is None or fault.touches(span):
                    if fault.times is not None:
                        used = replace(fault, times=fault.times - 1)
                        rest = (*state.faults[:index], used, *state.faults[index + 1 :])
                        self._save(replace(state, faults=rest))
                    return fault
        return None

    def signing_key(self) -> bytes:
        """The key of the signatures in LFS URLs, made on first use."""
        with self._changing() as state:
            key = state.signing_key or secrets.token_hex(16)
            if key != state.signing_key:
                self._save(replace(state, signing_key=key))
            return key.encode()

    def _load(self) -> State:
        try:
            raw = json.loads(self._path.read_text())
        except FileNotFoundError:
            return State()
        return State(
            tokens=tuple(raw["tokens"]),
            gates={
                repo: Gate(private=gate["private"], gated=gate["gated"], allowed=tuple(gate["allowed"]))
                for repo, gate in raw["gates"].items()
            },
            faults=tuple(Fault(**fault) for fault in raw["faults"]),
            signing_key=raw["signing_key"],
        )

    def _save(self, state: State) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(state), indent=2))
        fresh.replace(self._path)

    @contextmanager
    def _changing(self) -> Iterator[State]:
        with self._locked():
            yield self._load()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._lock, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
