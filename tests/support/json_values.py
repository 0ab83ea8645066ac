"""Any JSON value, small.

The extension is a named function: to print a lambda, hypothesis parses the file that it stands in, which can fail deep
in a stack on CPython 3.11 (gh-106905), and then a test fails that should pass.
"""

from typing import Any

from hypothesis import strategies as st


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner) | st.dictionaries(st.text(), inner)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), _containers, max_leaves=8
)
