"""Random tests: networks, configurations and memories drawn from a seed, each compared on every model there is."""
