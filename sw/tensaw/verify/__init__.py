"""Benches of the hardware's blocks: elaboration of one block, its simulation with cocotb, results and coverage.

The benches themselves are in the repository's ``tb/``, which is not part of the installed package: this package finds
them beside its own sources and runs them inside a simulator, in a process of its own.
"""
