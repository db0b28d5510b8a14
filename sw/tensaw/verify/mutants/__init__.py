"""Mutation testing: how many small changes of the generated Verilog the benches notice."""
