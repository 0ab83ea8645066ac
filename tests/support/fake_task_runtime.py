"""A serving process without a model, for a model of any task.

`python fake_task_runtime.py TASK PORT PRIVATE_PORT MAX_BODY_BYTES`. Everything is the product's but the backend and the
tokenizer.
"""

import sys

import uvloop
from runtime_under_test import loader, settings
from served_tasks import SERVED, fake_backend

from embedding_model.resolved import Task
from embedding_runtime.serve import serve

if __name__ == "__main__":
    task, port, private_port = Task(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chosen = settings(
        host="127.0.0.1", port=port, private_port=private_port, drain_seconds=0, max_body_bytes=int(sys.argv[4])
    )
    sys.exit(uvloop.run(serve(chosen, load=loader(fake_backend(task), task=task, **SERVED[task]))))
