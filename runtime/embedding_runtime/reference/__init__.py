"""Golden cases of a reference implementation: sentence-transformers and transformers, with none of our own serving path.

What is shown by them is that our serving path equals the libraries', so nothing of it may be in here: an import contract
keeps architectures/, backends/ and core/ out.
"""
