"""From stages to runs of the machine, one file for each kind of operator."""
