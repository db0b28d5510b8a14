"""Shared options: the configuration, waveforms, arrays."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from tensaw.cli import options
from tensaw.runtime.arrays import load_arrays, pack_arrays, random_inputs, split_runs, stack_runs
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import ConfigError, InputError, TensawError
from tensaw.spec.program import Binding


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    options.add_config(parser)
    options.add_simulation(parser)
    return parser.parse_args(arguments)


def test_the_default_is_base() -> None:
    assert options.config_from(parse()) is PRESETS["base"]
    assert options.config_from(parse("--config", "nano")) is PRESETS["nano"]


def test_set_changes_fields_and_the_name() -> None:
    config = options.config_from(parse("--set", "rows=12", "--set", "weight_bytes=0x10000", "--bus-bytes", "16"))
    assert (config.rows, config.weight_bytes, config.bus_bytes, config.name) == (12, 65536, 16, "custom")
    assert options.config_from(parse("--set", "rows=12", "--set", "name=mine")).name == "mine"


def test_setting_a_field_to_what_it_is_keeps_the_preset() -> None:
    assert options.config_from(parse("--bus-bytes", "8")) is PRESETS["base"]


def test_a_toml_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('preset = "small"\nrows = 9\n')
    config = options.config_from(parse("--config", str(tmp_path / "c.toml")))
    assert (config.rows, config.columns) == (9, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "rows"], "--set 'rows' is not of the form FIELD=VALUE, such as --set rows=12."),
        (["--set", "=3"], "--set '=3' is not of the form FIELD=VALUE, such as --set rows=12."),
        (["--set", "rows=0"], "rows must be between 2 and 64, not 0."),
        (["--set", "rows=many"], "rows must be a whole number between 2 and 64, not 'many'."),
        (["--set", "colour=1"], "There is no configuration field 'colour'; the fields are preset, name, rows"),
        (["--bus-bytes", "9"], "bus_bytes must be 8 or 16 (a 64 or 128 bit bus), not 9."),
        (["--bus-bytes", "8", "--set", "bus_bytes=16"], "--bus-bytes 8 contradicts --set bus_bytes=16; give one."),
        (["--config", "huge"], "The configuration 'huge' is neither a preset (nano, small, base, large) nor a file"),
    ],
)
def test_refused_configurations(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        options.config_from(parse(*arguments))
    assert message in str(error.value)


def test_waves() -> None:
    assert options.waves_from(parse()) is None
    assert options.waves_from(parse("--waves", "a.fst")) == (Path("a.fst"), 0, 2**62)
    assert options.waves_from(parse("--waves", "a.fst", "--wave-cycles", "10:20")) == (Path("a.fst"), 10, 20)
    with pytest.raises(InputError, match="must be of the form FIRST:LAST, such as 1000:2000, not '10-20'"):
        options.waves_from(parse("--waves", "a.fst", "--wave-cycles", "10-20"))
    with pytest.raises(InputError, match="--wave-cycles says which part .* give their file with --waves"):
        options.waves_from(parse("--wave-cycles", "10:20"))


def binding(name: str, shape: tuple[int, ...], dtype: str = "int8") -> Binding:
    return Binding(name, name, 1, 0, shape, shape, dtype, scale=0.5, zero_point=3)


def test_arrays_survive_a_file(tmp_path: Path, rng: np.random.Generator) -> None:
    arrays = {"a b/c": rng.integers(-128, 128, (2, 3), np.int8), "x": np.array([1.5], np.float32)}
    (tmp_path / "x.npz").write_bytes(pack_arrays(arrays))
    loaded = load_arrays(tmp_path / "x.npz")
    assert loaded.keys() == arrays.keys()
    assert all(np.array_equal(loaded[name], array) for name, array in arrays.items())
    assert pack_arrays(arrays) == pack_arrays(loaded)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive at all"], ids=["empty", "cut", "text"])
def test_damaged_array_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(
        TensawError, match="The arrays in '.*x.npz' cannot be read: .* Give an .npz file, as numpy.savez"
    ):
        load_arrays(path)


def test_array_files_without_names_and_with_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(InputError, match="it holds a single array without a name"):
        load_arrays(tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", x=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="Object arrays cannot be loaded"):
        load_arrays(tmp_path / "x.npz")
    with pytest.raises(InputError, match="No such file or directory"):
        load_arrays(tmp_path / "none.npz")


def test_one_run_and_stacks_of_runs() -> None:
    image, vector = binding("image", (1, 4, 4, 2)), binding("vector", (5,))
    one = {"image": np.zeros((1, 4, 4, 2), np.int8), "vector": np.zeros(5, np.int8)}
    assert len(split_runs(one, [image, vector])) == 1
    three = {"image": np.zeros((3, 4, 4, 2), np.int8), "vector": np.zeros((3, 5), np.int8)}
    runs = split_runs(three, [image, vector])
    assert [(run["image"].shape, run["vector"].shape) for run in runs] == [((1, 4, 4, 2), (5,))] * 3
    stacked = stack_runs(runs)
    assert {name: array.shape for name, array in stacked.items()} == {"image": (3, 4, 4, 2), "vector": (3, 5)}
    assert split_runs({"image": np.zeros((2, 1, 4, 4, 2), np.int8)}, [image])[1]["image"].shape == (1, 4, 4, 2)


def test_stacks_that_do_not_fit() -> None:
    image, vector = binding("image", (1, 4)), binding("vector", (5,))
    with pytest.raises(InputError, match="different numbers of runs: 'image' 3, 'vector' 2. Give the same number"):
        split_runs({"image": np.zeros((3, 4)), "vector": np.zeros((2, 5))}, [image, vector])
    with pytest.raises(InputError, match="The inputs are empty"):
        split_runs({"image": np.zeros((0, 4))}, [image])
    wrong = {"image": np.zeros((4, 4, 4))}
    assert split_runs(wrong, [image]) == [wrong]  # for the session to refuse, which knows all the rules
    assert split_runs({"other": np.zeros(3)}, [image])[0].keys() == {"other"}


def test_random_inputs_have_the_types_of_the_ports() -> None:
    ports = [binding("a", (1, 300)), binding("b", (1, 300), "uint8"), binding("c", (1, 300), "float32")]
    arrays = random_inputs(ports, 7)
    assert {name: str(array.dtype) for name, array in arrays.items()} == {"a": "int8", "b": "uint8", "c": "float32"}
    assert arrays["b"].max() > 250 and arrays["a"].min() < -120
    assert np.array_equal(arrays["c"], random_inputs(ports, 7)["c"])
    assert not np.array_equal(arrays["a"], random_inputs(ports, 8)["a"])
