"""The watchdog's patience with programs whose output stage works for long on its own."""

from __future__ import annotations

import numpy as np

from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.pipeline import compile_graph
from tensaw.model.graph import run_graph
from tensaw.networks.tflite_builder import TfliteBuilder
from tensaw.regress.configs import CONFIGS
from tensaw.runtime import Session
from tensaw.runtime.quiet import quiet_cycles
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import assemble
from tensaw.spec.program import Program


def test_a_long_softmax_is_no_hang() -> None:
    builder = TfliteBuilder("rows")
    builder.output(builder.softmax(builder.input((1, 8, 10, 2), 0.1, 0)))
    graph = load_tflite(builder.finish(), "rows")
    program = compile_graph(graph, CONFIGS["r5c7b8"])
    values = np.random.default_rng(1).integers(-128, 128, (1, 8, 10, 2), dtype=np.int8)
    with Session(program, watchdog=2000) as session:
        result = session.run({program.inputs[0].name: values})
    # 80 rows of some 100 cycles each, in which nothing moves that the watchdog sees.
    assert 2000 < result.cycles - 1000 < quiet_cycles(program)
    golden = run_graph(graph, {graph.inputs[0].tensor: values})
    np.testing.assert_array_equal(result.outputs[program.outputs[0].name], golden[graph.outputs[0].tensor])


def test_a_slow_output_stage_has_its_time() -> None:
    config = NpuConfig(columns=64, requant_lanes=1, acc_entries=8192, weight_bytes=1 << 16)
    words = assemble(
        """
        OUTPUT.CHANNELS tile=64 last=64 tiles=2
        OUTPUT.OUT height=64 width=65
        OUTPUT.BLOCK height=63 width=65
        OUTPUT.OPERAND_STEP operation=1
        OUTPUT.RUN
        OUTPUT.BLOCK height=100 width=1
        OUTPUT.RUN
        OUTPUT.OUT height=10 width=7
        OUTPUT.RUN kind=1
        CONTROL.END
        """
    )
    content = np.array(words, "<u8").tobytes()
    program = Program("slow", config, content, 0, len(content), (len(content), 64, 64, 64))
    # Two blocks of 63 x 65 positions, 64 channels one by one, four cycles each; ten rows of softmax.
    assert quiet_cycles(program) == 2 * 63 * 65 * 64 * 4 + 10 * (160 + 4 * 7)
