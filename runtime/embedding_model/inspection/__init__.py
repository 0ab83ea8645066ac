"""What a model is, from its own files, each value with its evidence."""

from embedding_model.inspection.inspector import inspect

__all__ = ["inspect"]
