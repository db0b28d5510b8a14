"""Sessions on the stand-in: outputs, cycles by layer, failures told in sentences."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.runtime import Session
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import DeviceError, InputError
from tensaw.spec.isa import assemble
from tensaw.spec.program import INPUTS, OUTPUTS, Binding, Program

SIMULATORS = ("verilator", "icarus")


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (1, 3, 8, 8), np.int8)


def test_runs_many_images_in_the_models_own_layout(program, standin):
    results = []
    for backend in SIMULATORS:
        told = []
        with Session(
            program(), backend, verilog=standin, progress=lambda text, cycles, told=told: told.append(text)
        ) as session:
            for seed in range(3):
                results.append(session.run({"image": image(seed)}))
                expected = ~image(seed).transpose(0, 2, 3, 1).reshape(1, 192)
                np.testing.assert_array_equal(results[-1].outputs["inverse"], expected)
        assert told[0] == "Building the simulator" and "Simulating" in told
    first = results[0]
    assert first.cycles == 3 * (1 + 31 + 8 + 10 + 8 + 8) + 1
    assert first.counters["cycles"] == first.cycles
    assert first.sim_cycles_per_second > 0
    for result in results[1:]:
        assert (result.cycles, result.layers, result.events) == (first.cycles, first.layers, first.events)


def test_every_cycle_belongs_to_one_layer(program, standin):
    with Session(program(), verilog=standin) as session:
        result = session.run({"image": image()})
    stem, head, none = result.layers
    assert (stem.name, stem.op, stem.macs) == ("stem", "CONV_2D", 100)
    # Three bursts: loading and the array's first half for the stem, its second half and the store for the head.
    assert stem.states == {"input": 3 * 40, "weights": 3, "array": 3 * 4}
    assert head.states == {"array": 3 * 5, "store": 3 * 16, "overhead": 1}
    assert (stem.bound_by, head.bound_by, none.bound_by) == ("input", "store", "nothing")
    assert stem.cycles + head.cycles + none.cycles == result.cycles
    assert result.events[0].start == 0 and result.events[-1].end == result.cycles - 1


@pytest.mark.parametrize("backend", SIMULATORS)
def test_a_hang_names_who_waits_for_what(program, standin, backend):
    with Session(program(32), backend, verilog=standin, watchdog=400) as session:
        with pytest.raises(DeviceError) as error:
            session.run({"image": image()})
    assert str(error.value) == (
        "The NPU hangs: nothing has moved for 400 cycles at cycle 403; ARRAY waits for weights in layer 'head', tag 2, "
        "with 5 command words queued; OUTPUT waits for a token from ARRAY in layer 'stem' (rows 4..7), tag 1, with 0 "
        "command words queued; WEIGHT has no command: the program fetch waits for the memory, or the program has "
        "none."
    )


def test_errors_of_the_device_name_unit_layer_and_tile(program, standin):
    with Session(program(112), verilog=standin) as session:
        with pytest.raises(DeviceError) as error:
            session.run({"image": image()})
    assert str(error.value) == (
        "The NPU stopped with ILLEGAL_VALUE in unit OUTPUT, layer 'stem' (rows 4..7), tag 1: a command holds a value "
        "that the unit cannot carry out."
    )


def test_protocol_violations_and_limits_are_device_errors(program, standin):
    with Session(program(96), verilog=standin) as session:
        with pytest.raises(DeviceError) as error:
            session.run({"image": image()})
    assert str(error.value) == (
        "The NPU breaks the AXI protocol at cycle 3: read burst at 0xfffff000 of 8 beats lies outside the memory. This "
        "is a fault of the hardware description, not of the model."
    )
    with Session(program(), verilog=standin, cycle_limit=50) as session:
        with pytest.raises(DeviceError, match=r"^The run was ended after 50 cycles, the limit that was set for it\.$"):
            session.run({"image": image()})


def test_guards_and_constants_are_checked(program, standin):
    # The copy is longer than what the program says its outputs take.
    short = program(region_sizes=(program().region_sizes[0], 192, 128, 0), outputs=[])
    with Session(short, verilog=standin) as session:
        with pytest.raises(DeviceError) as error:
            session.run({"image": image()})
    address = session.placement.regions[OUTPUTS] + 128
    assert str(error.value).startswith("The run changed ")
    assert str(error.value).endswith(
        f"bytes of memory that it must not write, the first at bus address 0x{address:x}. This is a fault of the "
        "hardware or of the compiled program."
    )


def test_a_device_of_another_configuration_is_refused(program, standin):
    other = NpuConfig(name="other", rows=5)
    with pytest.raises(DeviceError) as error:
        Session(program(config=other), verilog=standin)
    digest = program().config.digest
    assert str(error.value) == (
        f"The program 'copy' was compiled for the configuration 'other' (digest 0x{other.digest:08x}), the device has "
        f"another (0x{digest:08x}): compile the model for the device's configuration."
    )


def test_waves_of_a_session(program, standin, tmp_path):
    with Session(program(), "icarus", verilog=standin, waves=tmp_path / "run.vcd") as session:
        session.run({"image": image()})
    assert (tmp_path / "run.vcd").stat().st_size > 1000
    with pytest.raises(InputError) as error:
        Session(program(), "golden", waves=tmp_path / "run.vcd")
    assert str(error.value) == "The golden model has no waveforms: choose the back end verilator or icarus."


def test_unknown_back_ends_are_refused(program):
    with pytest.raises(InputError) as error:
        Session(program(), "modelsim")
    assert str(error.value) == "There is no back end 'modelsim'; choose one of verilator, icarus, golden, board."


# The golden back end runs real commands: through the scratchpad and back ---------------------------------------------

COPY = """
LOAD.MEMORY region=1
LOAD.ROWS bytes=192 count=1
LOAD.PLANES count=1
LOAD.RUN tag=0 signal=8
STORE.MEMORY region={target}
STORE.ROWS bytes=192 count=1
STORE.PLANES count=1
STORE.RUN tag=1 wait=1
CONTROL.END
"""


def copying(program, target: int) -> Program:
    words = assemble(COPY.format(target=target))
    words += [words[-1]] * (len(words) % 2)
    constants = b"".join(word.to_bytes(8, "little") for word in words)
    output = Binding("same", "t1", OUTPUTS, 0, (192,), (192,))
    return program(
        constants=constants, program_offset=0, program_bytes=len(constants), outputs=[output],
        region_sizes=(len(constants), 192, 192, 0),
    )  # fmt: skip


def test_the_golden_back_end(program):
    with Session(copying(program, OUTPUTS), "golden") as session:
        for seed in range(2):
            result = session.run({"image": image(seed)})
            expected = image(seed).transpose(0, 2, 3, 1).reshape(-1)
            np.testing.assert_array_equal(result.outputs["same"], expected)
            np.testing.assert_array_equal(session.read_region(INPUTS).view(np.int8), expected)
    assert (result.cycles, result.events, result.sim_cycles_per_second) == (0, [], 0.0)


def test_the_golden_back_end_refuses_like_the_hardware(program):
    with Session(copying(program, INPUTS), "golden") as session:
        with pytest.raises(DeviceError, match="OUTSIDE_REGION"):
            session.run({"image": image()})
