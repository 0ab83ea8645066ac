"""One file per command of `embedding-runtime`."""
