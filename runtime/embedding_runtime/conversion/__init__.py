"""Pickles become safetensors, in a process that can open nothing.

isolated          one file: starts the child, sets its deadline, judges what it left
child             the process: imports torch, shuts itself in, reads, writes, reports
sandbox           how it shuts itself in: seccomp filter and limits
checkpoint        which tensors a pickle holds, and which of those that share memory is kept
layout            safetensors, byte for byte the same on every machine and with every version
report            what the child says
pickles           which pickle becomes which file; the index of shards
converted_source  a Job's first conversion: the source with safetensors in place of pickles
repetition        a pod's conversion: the same again, and no other bytes
"""
