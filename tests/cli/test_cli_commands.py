"""Every command, end to end, on the digits network and the golden model: results, files, JSON, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensaw.check.comparison import Difference, compare, tile_of
from tensaw.cli import calls
from tensaw.cli.main import main
from tensaw.compiler.frontends import load
from tensaw.compiler.pipeline import compile_graph
from tensaw.networks import TfliteBuilder
from tensaw.runtime.arrays import load_arrays, pack_arrays
from tensaw.spec.config import PRESETS
from tensaw.spec.isa import assemble
from tensaw.spec.program import Layer, Program, Tag

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
MODEL = str(DIGITS / "digits_int8.tflite")


def text_of(capsys: pytest.CaptureFixture[str]) -> str:
    """Standard error as one line."""
    captured = capsys.readouterr()
    return " ".join(captured.err.split())


def run_json(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command in JSON form through a file."""
    path = Path(arguments[-1])
    assert main([*arguments[:-1], "--json", str(path)]) == code
    return json.loads(path.read_text())


def refused_model() -> bytes:
    """One supported and one unsupported operator."""
    builder = TfliteBuilder("refused")
    x = builder.input((1, 4, 4, 3), 0.05, 0)
    y = builder.max_pool2d(x, 2, name="pooled")
    z = builder.operator("COS", (y.index,), y.shape, 0.1, 0, "cosine")
    builder.output(z)
    return builder.finish()


# run -----------------------------------------------------------------------------------------------------------------


def test_run_gives_the_documented_keys(tmp_path: Path) -> None:
    values = run_json("run", MODEL, "--sim", "golden", str(tmp_path / "r.json"))
    assert values["command"] == "run" and values["matches_golden"] is True
    for key in ("cycles", "macs", "utilization", "layers", "sim_cycles_per_second"):
        assert key in values
    assert (
        values["macs"] == 64 * 9 * 16 * 2 + 64 * 16 * 16 + 4 * 9 * 16 * 32 + 128 * 10
        and values["cycles"] == 0
        and values["utilization"] == 0.0
    )


def test_run_a_stack_of_images_writes_what_litert_gives(tmp_path: Path) -> None:
    litert = pytest.importorskip("tensaw.networks.litert")
    pytest.importorskip("ai_edge_litert")
    images = np.load(DIGITS / "digits_images.npz")["image"][:7]
    np.savez(tmp_path / "x.npz", image=images)
    output = tmp_path / "y.npz"
    values = run_json(
        "run",
        MODEL,
        "--sim",
        "golden",
        "--input",
        str(tmp_path / "x.npz"),
        "--output",
        str(output),
        str(tmp_path / "j"),
    )
    assert len(values["runs"]) == 7 and values["matches_golden"]
    reference = litert.LitertReference(Path(MODEL).read_bytes())
    expected = np.concatenate([reference.run([image[None]])[0] for image in images])
    found = load_arrays(output)
    assert list(found) == ["digit"] and np.array_equal(found["digit"], expected)


def test_run_an_onnx_network(tmp_path: Path) -> None:
    image = np.zeros((1, 1, 8, 8), np.float32)
    np.savez(tmp_path / "x.npz", image=image)
    arguments = ["run", str(DIGITS / "digits_int8_qdq.onnx"), "--sim", "golden", "--input", str(tmp_path / "x.npz")]
    assert main([*arguments, "--output", str(tmp_path / "y.npz"), "--set", "rows=5", "--set", "columns=20"]) == 0
    assert load_arrays(tmp_path / "y.npz")["probability_output"].dtype == np.float32


def test_run_compares_networks_whose_images_the_compiler_transposes(tmp_path: Path, rng: np.random.Generator) -> None:
    builder = TfliteBuilder("tall")
    x = builder.input((1, 30, 12, 1), 0.1, 3)
    weights = rng.integers(-127, 128, (8, 10, 4, 1))
    builder.output(builder.conv2d(x, weights, None, padding="SAME", stride=2, weight_scale=0.01, out_scale=0.2))
    model = tmp_path / "tall.tflite"
    model.write_bytes(builder.finish())
    program = compile_graph(load(model), PRESETS["base"])
    assert program.inputs[0].permutation == program.outputs[0].permutation == (0, 2, 1, 3)
    assert run_json("run", str(model), "--sim", "golden", str(tmp_path / "j"))["matches_golden"]


def test_run_reports_a_mismatch_with_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = calls.golden_tensors

    def wrong(*arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        outputs, tensors = golden(*arguments)
        outputs["digit"][0, 3] ^= 1
        return outputs, tensors

    monkeypatch.setattr(calls, "golden_tensors", wrong)
    values = run_json("run", MODEL, "--sim", "golden", str(tmp_path / "j"), code=1)
    assert values["matches_golden"] is False and values["runs"][0]["matches_golden"] is False
    assert "element [0, 3] of 'digit' is" in values["differences"][0]
    assert "0 of 1 run equal the golden model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"picture": np.zeros((1, 8, 8, 1), np.int8)}, "The model has no input 'picture'; its inputs are 'image'."),
        ({"image": np.zeros((1, 9, 8, 1), np.int8)}, "must have the shape 1×8×8×1, not 1×9×8×1."),
        ({"image": np.zeros((1, 8, 8, 1), np.uint8)}, "The input 'image' must be int8, not uint8."),
    ],
    ids=["name", "shape", "type"],
)
def test_run_refuses_inputs_that_do_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    output = tmp_path / "y.npz"
    arguments = ["run", MODEL, "--sim", "golden", "--input", str(tmp_path / "x.npz"), "--output", str(output)]
    assert main(arguments) == 2
    assert message in text_of(capsys) and not output.exists()


@pytest.mark.parametrize("backend", ["verilator", "icarus"])
def test_missing_tools_are_reported_before_any_work(
    backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(calls, "load_network", lambda path: pytest.fail("work was done"))
    assert main(["run", MODEL, "--sim", backend]) == 2
    expected = (
        "There is no C++ compiler" if backend == "verilator" else "Icarus Verilog (iverilog and vvp) was not found"
    )
    assert expected in text_of(capsys)


@pytest.mark.parametrize("option", ["--report", "--trace"])
def test_the_golden_model_has_no_report(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", MODEL, "--sim", "golden", option, str(tmp_path / "r")]) == 2
    assert f"The golden model has no cycles, which {option} would show: choose --sim verilator" in text_of(capsys)


# compile, disasm, info -----------------------------------------------------------------------------------------------


def test_compile_reports_every_operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = run_json("compile", MODEL, "-o", str(tmp_path / "d.tsw"), str(tmp_path / "j"))
    kinds = [operator["type"] for operator in values["operators"]]
    assert kinds.count("CONV_2D") == 3 and {"ADD", "SOFTMAX", "MAX_POOL_2D", "DEPTHWISE_CONV_2D"} <= set(kinds)
    assert all(operator["runs_on"] not in ("refused", "nowhere") for operator in values["operators"])
    assert sum(layer["macs"] for layer in values["layers"]) == values["macs"]
    assert Program.load(tmp_path / "d.tsw").name == "digits_int8.tflite"
    assert "command words" in capsys.readouterr().out


def test_compile_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main(["compile", MODEL, "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("option", [[], ["--report-only"]], ids=["compile", "report"])
def test_a_refused_operator_is_named_with_its_fix(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "m.tflite", tmp_path / "m.tsw"
    path.write_bytes(refused_model())
    values = run_json("compile", str(path), "-o", str(output), *option, str(tmp_path / "j"), code=2)
    captured = capsys.readouterr()
    assert "#1 COS 'cosine': tensaw has no such operator. Replace it by supported ones" in captured.out
    assert bool(captured.err) == (not option)
    assert [operator["runs_on"] for operator in values["operators"]] == ["NPU", "refused"]
    assert not output.exists()


@pytest.mark.parametrize("command", ["compile", "run", "check", "disasm", "info"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"no model at all", "is no model file that tensaw knows"),
        (Path(MODEL).read_bytes()[:3000], ""),
    ],
    ids=["missing", "text", "truncated"],
)
def test_bad_model_files(
    command: str, content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model"
    if content is not None:
        path.write_bytes(content)
    sim = ["--sim", "golden"] if command in ("run", "check") else []
    assert main([command, str(path), *sim]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("tensaw: ") and message in " ".join(captured.err.split())
    assert "Traceback" not in captured.err and captured.out == ""


def test_disasm_can_be_assembled_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", MODEL, "-o", str(tmp_path / "d.tsw"), "--set", "rows=7"]) == 0
    capsys.readouterr()
    assert main(["disasm", str(tmp_path / "d.tsw")]) == 0
    text = capsys.readouterr().out
    assert assemble(text) == [int(word) for word in Program.load(tmp_path / "d.tsw").words]
    assert "# stem" in text
    values = run_json("disasm", MODEL, "--set", "rows=7", "-o", str(tmp_path / "d.s"), str(tmp_path / "j"))
    assert (tmp_path / "d.s").read_text() == text and len(values["commands"]) == text.count("\n")


def test_info_tells_versions_tools_and_presets(tmp_path: Path) -> None:
    values = run_json("info", str(tmp_path / "j"))
    assert values["versions"]["tensaw"] and set(values["presets"]) == {"nano", "small", "base", "large"}
    assert set(values["tools"]) == {"verilator", "c++", "make", "icarus"}


def test_info_tells_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CXX", raising=False)
    assert main(["info"]) == 0
    assert "There is no C++ compiler" in capsys.readouterr().out


def test_info_of_a_network(tmp_path: Path) -> None:
    values = run_json("info", MODEL, str(tmp_path / "j"))
    assert [operator["runs_on"] for operator in values["operators"]] == ["NPU"] * 9


# check ---------------------------------------------------------------------------------------------------------------


def test_check_against_the_golden_model(tmp_path: Path) -> None:
    values = run_json("check", MODEL, "--sim", "golden", str(tmp_path / "j"))
    assert values["equal"] and values["tensors_not_in_memory"] == []
    assert {"stem", "depthwise", "pointwise", "add", "pool", "wide", "classifier"} <= set(values["tensors_compared"])


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """Two runs of the digits with all tensors of the first, as LiteRT gives them."""
    pytest.importorskip("ai_edge_litert")
    from tensaw.networks.litert import LitertReference

    images = np.load(DIGITS / "digits_images.npz")["image"][:2]
    litert = LitertReference(Path(MODEL).read_bytes(), keep=True)
    outputs = [litert.run([images[number : number + 1]])[0] for number in (1, 0)]
    graph = calls.load_network(Path(MODEL))
    tensors = {
        f"t{tensor.index}": litert.tensor(tensor.index) for tensor in graph.tensors.values() if tensor.index is not None
    }
    path = tmp_path / "reference.npz"
    path.write_bytes(pack_arrays({"inputs": images, "outputs": np.concatenate(outputs[::-1]), **tensors}))
    return path


def test_check_against_a_reference(reference: Path, tmp_path: Path) -> None:
    values = run_json("check", MODEL, "--sim", "golden", "--against", str(reference), str(tmp_path / "j"))
    assert values["equal"] and values["runs"] == 2 and len(values["tensors_compared"]) >= 8


def test_check_names_the_first_difference(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = load_arrays(reference)
    graph = calls.load_network(Path(MODEL))
    index = graph.tensors["wide"].index
    arrays[f"t{index}"][0, 1, 0, 17] ^= 4
    arrays["outputs"][1, 2] ^= 1
    reference.write_bytes(pack_arrays(arrays))
    values = run_json("check", MODEL, "--sim", "golden", "--against", str(reference), str(tmp_path / "j"), code=1)
    first, second = values["differences"]
    assert (first["run"], first["layer"], first["op"], first["element"]) == (0, "wide", "CONV_2D", [0, 1, 0, 17])
    assert (first["count"], first["size"], abs(first["found"] - first["expected"])) == (1, 128, 4)
    assert (second["run"], second["tensor"], second["element"]) == (1, "digit", [0, 2])
    assert "the first difference is in run 0, layer 'wide' (CONV_2D)" in capsys.readouterr().out
    assert run_json(
        "check", MODEL, "--sim", "golden", "--against", str(reference), "--rows", "1", str(tmp_path / "k"), code=1
    )["runs"] == 1  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": None}, "lacks the model's inputs: it must hold 'image' or 'inputs', and holds 'outputs'"),
        ({"outputs": np.zeros((3, 10), np.int8)}, "holds 2 runs of inputs but 3 of outputs; they must match"),
        (
            {"stem": np.zeros((1, 8, 8, 4), np.int8)},
            "The reference of tensor 'stem' is int8 (1, 8, 8, 4), the network's",
        ),
    ],
    ids=["inputs", "runs", "shape"],
)
def test_check_refuses_other_references(
    reference: Path, changes: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = {**load_arrays(reference), **changes}
    reference.write_bytes(pack_arrays({name: array for name, array in arrays.items() if array is not None}))
    assert main(["check", MODEL, "--sim", "golden", "--against", str(reference)]) == 2
    assert message in text_of(capsys)


def test_check_refuses_contradicting_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", MODEL, "--against", "a.npz", "--input", "b.npz"]) == 2
    assert "--against brings its own inputs; leave --input out." in text_of(capsys)
    assert main(["check", MODEL, "--rows", "0"]) == 2
    assert "--rows must be at least 1, not 0." in text_of(capsys)


def program_with_tiles() -> Program:
    program = calls.compile_program(calls.load_network(Path(MODEL)), calls_config())
    program.layers = [Layer("first", "CONV_2D", "a"), Layer("second", "CONV_2D", "b")]
    program.tags = [
        Tag(0, "rows 0..1, channels 0..15"),
        Tag(0, "rows 2..3, channels 0..15"),
        Tag(0, "rows 2..3, channels 16..31"),
        Tag(1, ""),
    ]
    return program


def calls_config() -> Any:
    from tensaw.spec.config import PRESETS

    return PRESETS["base"]


def test_differences_name_layer_tile_and_element() -> None:
    program = program_with_tiles()
    expected = np.zeros((1, 4, 4, 32), np.int8)
    found = expected.copy()
    assert compare(program, "a", found, expected) is None
    found[0, 3, 1, 20] = 5
    found[0, 3, 2, 20] = 6
    difference = compare(program, "a", found, expected)
    assert difference == Difference("a", "first", "CONV_2D", "rows 2..3, channels 16..31", (0, 3, 1, 20), 5, 0, 2, 512)
    assert str(difference) == (
        "layer 'first' (CONV_2D), tile rows 2..3, channels 16..31: element [0, 3, 1, 20] of 'a' is 5, not 0; 2 of 512 "
        "elements differ."
    )
    assert tile_of(program, 1, (0, 0, 0, 0)) == ""
    other = compare(program, "zzz", found, expected)
    assert other is not None and other.layer == "" and str(other).startswith("tensor 'zzz': element")
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(program, "a", found[:, :2], expected)


# generate ------------------------------------------------------------------------------------------------------------


def test_generate_writes_the_files_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = {"tensaw_npu.v": "module tensaw_npu;\nendmodule\n", "config.toml": "rows = 3\n"}
    asked = []
    monkeypatch.setattr(calls, "generate_files", lambda config, *options: asked.append(options) or contents)
    flow = [
        "--technology",
        "asic",
        "--clock",
        "250",
        "--package",
        "litex",
        "--package",
        "ip-xact",
        "--multipliers",
        "9",
    ]
    run_json("generate", "-o", str(tmp_path / "new"), *flow, str(tmp_path / "j"))
    values = run_json("generate", "-o", str(tmp_path / "new"), "--set", "rows=3", str(tmp_path / "j"))
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == contents
    assert values["config"]["rows"] == 3 and [file["lines"] for file in values["files"]] == [2, 1]
    assert "tensaw_npu.v" in capsys.readouterr().out
    assert asked == [(False, "asic", 250.0, ["litex", "ip-xact"], 9), (False, "generic", None, [], None)]
