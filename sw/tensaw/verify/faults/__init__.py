"""Faults: what the NPU does when memory, program, windows or software do what they should not."""
