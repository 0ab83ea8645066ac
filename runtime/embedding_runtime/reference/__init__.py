"""Golden cases of a reference implementation: sentence-transformers and transformers, without our own serving path.

They show that our serving path gives the libraries' numbers, so nothing of it may be in here: an import contract keeps
architectures/, backends/ and core/ out.
"""
