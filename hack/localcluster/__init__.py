"""A real Kubernetes on this machine, for the demo and the tests. Nothing here is imported by the product."""
