"""The public port (one file per dialect) and the private port. Knows nothing of torch."""
