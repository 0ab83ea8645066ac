"""Texts in, vectors out: tokenise, admit, queue, batch. Knows neither torch nor HTTP."""
