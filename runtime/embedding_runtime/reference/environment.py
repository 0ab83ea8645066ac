"""How the libraries are to run: without a network, and with as many threads as the pod has CPUs."""

import logging
import os

from embedding_runtime.cpu import count_cpus


def prepare_environment() -> None:
    """Must be called before torch, transformers and sentence_transformers are imported: they look once.

    Unlike a server, which gives each worker a core, one process computes one text at a time on all of them.
    """
    threads = str(count_cpus())
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = threads
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ[variable] = "1"
    # Their own lines on stderr are progress bars, and advice to whoever writes code with them.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
