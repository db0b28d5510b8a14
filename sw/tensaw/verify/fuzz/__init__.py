"""Fuzzing of everything that reads a file: models, configurations, programs; always an ordinary error, or a result."""
