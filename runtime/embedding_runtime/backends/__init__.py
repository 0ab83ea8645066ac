"""What turns token ids into vectors, and the threads that drive it. Knows nothing of HTTP."""
