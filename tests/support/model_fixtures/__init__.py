"""Folders of models that are hard to read right, each with the right answer: shaped like the published ones, tiny.

The catalogue is what inspection has to satisfy, so no part of inspection takes part in building it: names and shapes of
tensors come from transformers' own classes or are written out by hand, expectations from what the models' authors and
sentence-transformers say.
"""
