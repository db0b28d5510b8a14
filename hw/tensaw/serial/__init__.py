"""The serial core: a small processor whose program is an interpreter of the instruction set, for the smallest FPGAs."""
