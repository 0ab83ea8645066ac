"""A serving process without a model, for tests of the process itself: `python fake_runtime.py PORT PRIVATE [SECONDS]`.

Everything is the product's but the backend and the tokenizer. Prints `ready` once both ports listen.
"""

import sys
from pathlib import Path

import uvloop
from runtime_under_test import loader, settings

from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.serve import serve

if __name__ == "__main__":
    port, private_port, drain = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    goldens = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    chosen = settings(host="127.0.0.1", port=port, private_port=private_port, drain_seconds=drain, goldens=goldens)
    sys.exit(uvloop.run(serve(chosen, load=loader(FakeBackend()))))
