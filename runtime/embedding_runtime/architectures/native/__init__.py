"""Model families in plain torch: our own forward passes, held to the reference implementations by tests."""
