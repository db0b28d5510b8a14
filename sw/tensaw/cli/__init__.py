"""The ``tensaw`` command: one file for each command, and what they share (options, files, terminal, errors)."""
