"""Passes from the graph to the stages that run on the machine."""
