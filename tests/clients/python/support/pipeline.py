"""The documentation's IngestionPipeline, as a program of its own: its workers are processes that import it again."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dead_end import DeadEnd
from relay import Relay
from service import Service
from snippets import adapt, documented

TEXTS = slice(0, 60)
BATCH = 10  # LlamaIndex's default; two workers have 30 texts each
LONGEST_SECONDS = 300
LIST_OF_TEXTS = re.compile(r"(?<=for text in )\[[^\]]*\](?=\])")


def run_pipeline(folder: Path, *, service: Service, wire: Relay, dead_end: DeadEnd) -> subprocess.CompletedProcess[str]:
    """The snippet over TEXTS, with its vectors as JSON on its output. What would leave the machine meets a dead end."""
    script = folder / "pipeline.py"
    texts: Sequence[str] = service.texts[TEXTS]
    code, replaced = LIST_OF_TEXTS.subn(
        lambda _: repr(list(texts)), adapt(documented()["llamaindex-pipeline"], service=service, url=wire.url)
    )
    assert replaced == 1
    script.write_text(f"{code}    import json\n\n    print(json.dumps(vectors))\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=dead_end.environment,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
