"""Random networks on random configurations: the program computes what the golden operators compute."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.pipeline import CompileOptions
from tensaw.networks.random_network import random_network
from tensaw.spec.errors import UnsupportedError


@pytest.mark.parametrize("number", range(40))
def test_random_network_on_random_configuration(number: int, agree, any_config) -> None:
    rng = np.random.default_rng((2026, number))
    graph = load_tflite(random_network(rng), f"random{number}")
    config = any_config(rng)
    options = CompileOptions(keep_tensors=number % 3 == 0, fuse=number % 5 != 0, follow=number % 7 != 0)
    try:
        agree(graph, config, rng, options)
    except UnsupportedError as error:
        # The smallest scratchpads hold not even one position of some layers; then the error says how much it takes.
        assert "bytes of scratchpad for a single output position" in str(error)
        agree(graph, config.replace(scratchpad_bytes=1 << 18), rng, options)
