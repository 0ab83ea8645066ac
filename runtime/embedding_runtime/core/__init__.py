"""Texts and pairs in, what the model says of them out: tokenise, admit, queue, batch, finish. No torch, no HTTP."""
