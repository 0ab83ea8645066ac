"""The one error that ends a command with a message instead of a stack."""

from __future__ import annotations


class ClusterError(Exception):
    """Something the person at the keyboard can act on: what was expected, what was found, what to do."""


class TookTooLong(ClusterError):
    """Something was waited for in vain."""
