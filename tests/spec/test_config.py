"""NpuConfig: every range, every rule, every error text, TOML."""

from pathlib import Path
from typing import Any

import pytest

from tensaw.spec.config import FIELD_TEXTS, PRESETS, NpuConfig, field_range, load_config
from tensaw.spec.errors import ConfigError


@pytest.mark.parametrize("name", FIELD_TEXTS)
def test_every_field_refuses_what_is_outside_its_range(name: str) -> None:
    low, high = field_range(name)
    for value in (low - 1, high + 1):
        with pytest.raises(ConfigError) as error:
            NpuConfig.from_dict({name: value})
        assert str(error.value) == f"{name} must be between {low} and {high}, not {value}."
    for value in ("16", 16.0, True, None):
        with pytest.raises(ConfigError) as error:
            NpuConfig.from_dict({name: value})
        assert str(error.value) == f"{name} must be a whole number between {low} and {high}, not {value!r}."


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bus_bytes": 12}, "bus_bytes must be 8 or 16 (a 64 or 128 bit bus), not 12."),
        ({"burst_beats": 24}, "burst_beats must be a power of two, not 24."),
        ({"columns": 8, "requant_lanes": 9}, "requant_lanes must be at most columns (8), not 9."),
        (
            {"scratchpad_bytes": 65536 + 16},
            "scratchpad_bytes must be a multiple of 128 (8 banks of 16-byte words), not 65552.",
        ),
        ({"rows": 64, "scratchpad_bytes": 1024}, "scratchpad_bytes must be at least 2048, not 1024."),
        ({"weight_bytes": 8200}, "weight_bytes must be a multiple of 16 (a weight-buffer word), not 8200."),
        (
            {"weight_bytes": 1024},
            "weight_bytes must be at least 1056 (two weight tiles with their channel parameters, and two bursts), not "
            "1024.",
        ),
        ({"acc_entries": 18}, "acc_entries must be a multiple of 4 (two halves, each of an even number), not 18."),
        (
            {"name": "my npu"},
            "name must be a word of ASCII letters, digits and underscores that begins with a letter or underscore, not "
            "'my npu'.",
        ),
        (
            {"rowz": 4},
            "There is no configuration field 'rowz'; the fields are preset, name, rows, columns, column_group, "
            "scratchpad_bytes, weight_bytes, acc_entries, bus_bytes, address_width, requant_lanes, "
            "depthwise_rows, queue_depth, burst_beats, outstanding_reads.",
        ),
        ({"preset": "huge"}, "preset must be one of nano, small, base, large, not 'huge'."),
    ],
)
def test_rules_between_fields(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        NpuConfig.from_dict(changes)
    assert str(error.value) == text


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_named_and_read_back_from_toml(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    assert config.name == name
    path = tmp_path / "npu.toml"
    path.write_text(config.to_toml())
    assert load_config(path) == config


def test_sizes_of_an_odd_shape() -> None:
    config = NpuConfig(rows=5, columns=12, requant_lanes=3)
    assert (config.word_bytes, config.weight_row_bytes, config.weight_word_bytes) == (16, 16, 16)
    assert (config.taps, config.groups) == (3, 1)
    assert NpuConfig(rows=2, columns=2, requant_lanes=1, column_group=1).taps == 2


def test_a_file_may_begin_from_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "npu.toml"
    path.write_text('preset = "nano"\nrows = 6\n')
    assert load_config(path) == PRESETS["nano"].replace(name="custom", rows=6)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"rows = 1", "In the configuration file {path!r}: rows must be between 2 and 64, not 1."),
        (b"\xff", "The configuration file {path!r} is not TOML: it is not UTF-8 text."),
        (b"rows =", "The configuration file {path!r} is not TOML: Invalid value (at end of document)."),
        (
            b"rows = " + b"9" * 5000,
            "The configuration file {path!r} is not TOML: Exceeds the limit (4300 digits) for integer string "
            "conversion: value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit.",
        ),
        (
            b'name = "\\u001b"',
            "In the configuration file {path!r}: name must be a word of ASCII letters, digits and underscores that "
            "begins with a letter or underscore, not '\\x1b'.",
        ),
    ],
)
def test_bad_files(content: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "npu.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value) == text.format(path=str(path))


def test_a_missing_file() -> None:
    with pytest.raises(ConfigError) as error:
        load_config("bse")
    assert str(error.value) == (
        "The configuration 'bse' is neither a preset (nano, small, base, large) nor a file that can be read: "
        "No such file or directory."
    )


def test_the_digest_leaves_out_what_programs_do_not_depend_on() -> None:
    base = PRESETS["base"]
    assert base.digest == base.replace(name="other").digest == base.replace(requant_lanes=4).digest
    assert base.digest != base.replace(rows=15).digest
    # Kernel rows in parallel count by what the array has rows for.
    small = PRESETS["small"]
    assert small.groups == small.replace(depthwise_rows=2).groups == 2
    assert small.digest == small.replace(depthwise_rows=2).digest != small.replace(depthwise_rows=1).digest
    assert base.digest != base.replace(depthwise_rows=2).digest


def test_kernel_rows_in_parallel_and_banks() -> None:
    found = [(rows, most) for rows in (2, 3, 6, 9, 16) for most in (1, 2, 3)]
    groups = [NpuConfig(rows=rows, depthwise_rows=most).groups for rows, most in found]
    assert groups == [1, 1, 1, 1, 1, 1, 1, 2, 2, 1, 2, 3, 1, 2, 3]
    banks = [NpuConfig(rows=rows, depthwise_rows=most).banks for rows, most in found]
    assert banks == [8 if count == 3 else 4 for count in groups]
