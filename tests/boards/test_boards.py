"""Every board: its constraints against its ports, its clocks and amaranth-boards; its settings against the makers'
tools.
"""

import argparse
import dataclasses
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tensaw.boards.board import BlockRam, Board, Sdram
from tensaw.boards.constraints import check_constraints, read_constraints
from tensaw.boards.definitions import BOARDS, find_board
from tensaw.boards.pll import ecp5_pll, gowin_pll, ice40_pll, xilinx7_pll
from tensaw.cli.board_options import board_config
from tensaw.cli.options import add_config
from tensaw.spec.config import PRESETS, NpuConfig, load_config
from tensaw.spec.errors import InputError

ALL = pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)


@ALL
def test_every_port_has_a_pin_and_every_pin_a_port(board: Board) -> None:
    constraints = check_constraints(board)
    if constraints.standards:  # .pcf files have none
        assert set(constraints.standards) == set(constraints.pins)


def platform_pins(board: Board) -> dict[str, str]:
    """Pins of the board's ports as amaranth-boards has them."""
    assert board.platform is not None
    module, name = board.platform.split(":")
    platform = getattr(importlib.import_module(module), name)()
    resources = {resource.name: resource for resource in type(platform).resources if resource.number == 0}
    lights = [resource for resource in type(platform).resources if re.fullmatch("led", resource.name)]
    connectors = {f"{connector.name}:{pin}": site for connector in type(platform).connectors
                  for pin, site in connector.mapping.items()}  # fmt: skip

    def sites(path: str) -> list[str]:
        if path == "led*":
            return [site for resource in sorted(lights, key=lambda item: item.number) for site in resource.ios[0].names]
        if ":" in path:
            return [connectors[path.replace(":", "_0:", 1)] if path not in connectors else connectors[path]]
        first, _, second = path.partition(".")
        ios = resources[first].ios
        if second:
            (ios,) = [item.ios for item in ios if item.name == second]
        return list(ios[0].names)

    found = {}
    for port in board.ports():
        names = [site for path in board.platform_pins[port.name].split() for site in sites(path)]
        assert len(names) == port.width, port.name
        found.update(zip(port.bits(), names, strict=True))
    return found


@pytest.mark.parametrize("board", [board for board in BOARDS.values() if board.platform], ids=lambda board: board.name)
def test_pins_are_those_of_amaranth_boards(board: Board) -> None:
    module, name = str(board.platform).split(":")
    platform = getattr(importlib.import_module(module), name)()
    assert check_constraints(board).pins == platform_pins(board)
    assert platform.lookup(platform.default_clk).clock.frequency == board.oscillator
    assert platform.device.lower().rstrip("i") in board.part.lower()
    assert platform.package.lower() in board.part.lower()


def test_boards_without_a_platform_say_where_their_pins_come_from() -> None:
    for board in BOARDS.values():
        assert (board.platform is None) == bool(board.pin_source)
        assert len(board.name) <= 16 and board.lights >= 2 and board.payload_bytes + 10 <= board.buffer_bytes
        assert not board.buffer_bytes & board.buffer_bytes - 1


@ALL
def test_clock_tree(board: Board) -> None:
    for _, clock in board.clocks:
        pll = board.pll(clock)
        assert 0.97 * clock <= pll.frequency <= clock
        assert pll.frequency >= 6 * board.baud
        if isinstance(board.memory, Sdram):
            assert board.capture(pll.frequency).margin > 0.5
            assert 1e9 / pll.frequency >= board.memory.chip.fastest


@ALL
def test_default_configuration_is_accepted(board: Board) -> None:
    from tensaw.boards.export import plan_build

    build = plan_build(board, load_config(board.configuration_source()))
    assert build.identity.board == board.name and len(build.identity.build) == 8
    other = plan_build(board, PRESETS["nano"].replace(name="other", rows=5))
    assert other.identity.build != build.identity.build


def test_presets_have_the_lanes_and_kernel_rows_that_a_board_gives_them() -> None:
    board = find_board("ulx3s-85f")
    parser = argparse.ArgumentParser()
    add_config(parser)

    def chosen(*options: str) -> NpuConfig:
        return board_config(board, parser.parse_args([*options]))

    def lanes(*options: str) -> int:
        return chosen(*options).requant_lanes

    assert board.requant_lanes == lanes("--config", "base") == lanes("--config", "small", "--set", "columns=9") == 4
    assert lanes("--config", "nano") == 1 and lanes("--config", "base", "--set", "requant_lanes=16") == 16
    small = PRESETS["small"]
    assert board.fitted(small) == small.replace(requant_lanes=4) and board.fitted(small).digest == small.digest
    base = PRESETS["base"]
    assert board.fitted(base) == base.replace(requant_lanes=4, depthwise_rows=1)
    assert chosen("--config", "base", "--set", "depthwise_rows=3") == base.replace(requant_lanes=4)
    assert chosen("--config", "base", "--set", "requant_lanes=16").groups == 1
    assert chosen("--config", "small", "--set", "depthwise_rows=1").groups == 1


def test_a_board_may_let_columns_share_multipliers() -> None:
    from tensaw.boards.export import board_verilog, plan_build

    board = find_board("ulx3s-85f")
    config = PRESETS["nano"].replace(rows=12, columns=14, column_group=7, depthwise_rows=1, weight_bytes=32768)
    for one, pairs in ((board, 0), (dataclasses.replace(board, paired_products=True), 18)):
        assert board_verilog(plan_build(one, config)).count("  tensaw_processing_pair pair_") == pairs


def tool(name: str, *arguments: str) -> str:
    """What a tool of the environment says; skips where it is not installed."""
    program = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("source", "wanted", "phase"), [(25, 100, 270), (25, 80, 90), (48, 96, 180), (25, 125, 45)])
def test_ecp5_loops_are_those_of_ecppll(source: int, wanted: int, phase: int) -> None:
    said = tool(
        "yowasp-ecppll", "-i", str(source), "-o", str(wanted), "--clkout1", str(wanted), "--phase1", str(phase),
    )  # fmt: skip
    pll = ecp5_pll(source * 1_000_000, wanted * 1_000_000, phase)
    assert pll.frequency == wanted * 1_000_000
    numbers = {match[1]: int(match[2]) for match in re.finditer(r"(\w+ divisor): (\d+)", said)}
    ratio = numbers["Feedback divisor"] / numbers["Refclk divisor"]
    assert ratio == pll.feedback_divider / pll.input_divider
    assert numbers["divisor" if "divisor" in numbers else "clkout0 divisor"] == pll.output_divider
    zero, coarse, fine = pll.phases
    assert zero == pll.output_divider // 2 - 1
    assert (8 * (coarse - zero) + fine) / (8 * pll.output_divider) == phase / 360


@pytest.mark.parametrize(("source", "wanted"), [(12, 18), (12, 24), (12, 30), (12, 48)])
def test_ice40_loops_are_those_of_icepll(source: int, wanted: int) -> None:
    said = tool("yowasp-icepll", "-i", str(source), "-o", str(wanted))
    pll = ice40_pll(source * 1_000_000, wanted * 1_000_000)
    found = {match[1]: int(match[2]) for match in re.finditer(r"(DIV\w|FILTER_RANGE): +(\d+)", said)}
    assert found == {"DIVR": pll.divr, "DIVF": pll.divf, "DIVQ": pll.divq, "FILTER_RANGE": pll.filter_range}


@pytest.mark.parametrize("wanted", [27, 54, 81, 100])
def test_gowin_loops_give_the_frequency(wanted: int) -> None:
    said = tool("gowin_pll", "-i", "27", "-o", str(wanted), "-d", "GW2AR-18 C8/I7")
    match = re.search(r"Achieved output frequency: +([\d.]+) MHz", said)
    assert match is not None
    pll = gowin_pll(27_000_000, wanted * 1_000_000)
    assert pll.frequency == int(27e6 * (pll.fbdiv_sel + 1) / (pll.idiv_sel + 1))
    assert abs(pll.frequency / 1e6 - float(match[1])) < 0.02 * wanted
    assert 500e6 <= pll.frequency * pll.odiv_sel <= 1250e6


def test_xilinx_loops() -> None:
    pll = xilinx7_pll(100_000_000, 90_000_000)
    assert 100e6 * pll.multiply / pll.divide / pll.output_divider == pll.frequency == 90_000_000
    assert 800e6 <= 100e6 * pll.multiply / pll.divide <= 1600e6


def test_a_clock_that_cannot_be_made() -> None:
    with pytest.raises(InputError) as error:
        ice40_pll(12_000_000, 8_000_000)
    assert str(error.value).startswith("A clock of 8 MHz cannot be made from the board's 12 MHz: the nearest below is")


@pytest.mark.parametrize(
    ("name", "changes", "config", "message"),
    [
        ("icebreaker", {}, PRESETS["large"], "The memory of icebreaker is 8 bytes wide, but bus_bytes of the"),
        ("ulx3s-85f", {}, NpuConfig(address_width=24), "has 33,554,432 bytes, but address_width 24 of the"),
        ("ulx3s-85f", {}, NpuConfig(address_width=40), "The host link addresses 32 bits, but address_width of the"),
        (
            "icebreaker",
            {},
            PRESETS["small"],
            "icebreaker has the serial core, whose columns is at most 4, but",
        ),
        ("icebreaker", {}, PRESETS["nano"].replace(rows=9), "but rows of the configuration 'nano' is 9: set rows=8."),
        (
            "icebreaker",
            {},
            PRESETS["nano"].replace(scratchpad_bytes=1 << 17),
            "whose scratchpad_bytes is at most 65,536, but scratchpad_bytes of the configuration 'nano' is 131,072",
        ),
        ("icebreaker", {"baud": 4_000_000}, PRESETS["nano"], "4,000,000 baud, which needs a clock of at least 24 MHz"),
    ],
)
def test_configurations_that_a_board_cannot_carry(name: str, changes: dict, config: NpuConfig, message: str) -> None:
    board = dataclasses.replace(BOARDS[name], **changes)
    with pytest.raises(InputError) as error:
        board.check(config, board.clock_for(config))
    assert message in str(error.value)


def test_an_sdram_that_is_too_slow_for_the_clock() -> None:
    board = BOARDS["ulx3s-85f"]
    with pytest.raises(InputError, match="At 200 MHz there is no moment at which the data of ulx3s-85f's SDRAM are"):
        board.check(PRESETS["small"], 200_000_000)


def test_a_board_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="There is no board 'ulx4s'; the boards are ulx3s-85f, orangecrab-85f, "):
        find_board("ulx4s")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('LOCATE COMP "uart_rx"', 'LOCATE COMP "uart_ry"', "'uart_rx' has no pin"),
        ('LOCATE COMP "uart_rx" SITE "M1";', "", "'uart_rx' has no pin"),
        ('SITE "M1"', 'SITE "L4"', "gives a port or a pin a second time"),
        ('SITE "M1";\n', 'SITE "M1";\nLOCATE COMP "more" SITE "A2";\n', "'more' is no port of the board's top"),
        ("25 MHZ", "50 MHZ", "the clock of 'clk25' is 50000000 Hz; the board's oscillator has 25000000 Hz"),
        ("BLOCK ASYNCPATHS;", "BLOCK ASYNCPATHS", "is no constraint of a known form: 'BLOCK ASYNCPATHS'"),
    ],
)
def test_mistakes_in_constraints(
    old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = BOARDS["ulx3s-85f"]
    text = board.constraints_path().read_text()
    assert old in text
    (tmp_path / board.constraints).write_text(text.replace(old, new, 1))
    monkeypatch.setattr(Board, "constraints_path", lambda self: tmp_path / self.constraints)
    with pytest.raises(InputError) as error:
        check_constraints(board)
    assert message in str(error.value)


def test_a_missing_constraints_file() -> None:
    board = dataclasses.replace(BOARDS["ulx3s-85f"], constraints="none.lpf")
    with pytest.raises(InputError, match="The constraints file 'none.lpf' of ulx3s-85f is missing: install tensaw"):
        board.constraints_path()
    assert read_constraints(BOARDS["icebreaker"].constraints_path()).clocks == {"clk12": 12_000_000}
    assert BlockRam(4096).size == 4096


def test_an_sdram_that_is_not_used_rests() -> None:
    """Not selected, without clock, every other pin at a level; and nobody drives its data."""
    from tensaw.boards.export import board_verilog, plan_build

    board = BOARDS["tang-nano-20k"]
    text = board_verilog(plan_build(board, load_config(board.configuration_source())))
    levels = {
        match[1]: int(match[2])
        for match in re.finditer(r"OBUF sdram_(\w+_pad\d+)\(\s*\.I\(1'h([01])\),\s*\.O\(sdram_", text)
    }
    outputs = [port for port in board.ports() if port.name.startswith("sdram_") and port.direction == "output"]
    assert len(levels) == sum(port.width for port in outputs) == 23
    high = {name.partition("_pad")[0] for name, level in levels.items() if level}
    assert high == {"cs_n", "ras_n", "cas_n", "we_n", "dqm"}
    assert {name.partition("_pad")[0] for name, level in levels.items() if not level} == {"clk", "cke", "a", "ba"}
    assert len(re.findall(r"IOBUF sdram_dq_pad\d+\([^;]*\.OEN\(sdram_dq_off\)\s*\);", text)) == 32
    assert set(re.findall(r"sdram_dq_off <?= ([^;]+);", text)) == {"1'h1"}
