"""How computing a batch fails in ways that the pool of workers treats by themselves. Anything else is a worker's own
failure: it is replaced, and the batch tried once more.

Raised by backends, which alone know the words of their libraries. Neither keeps the library's exception: its traceback
holds the tensors of the batch, and memory would not come free while somebody holds the exception.
"""


class OutOfMemory(Exception):
    """The batch did not fit; a smaller one may. Nothing is broken, and what the batch held is free again."""


class DeviceBroken(Exception):
    """Nothing can be computed on the device any more, by no thread of this process: only a restart helps."""
