"""What a model is, and exactly which bytes it is.

Shared by the operator and the runtime: importable in a fraction of a second, without torch, kopf or a cluster.
"""
