"""The reference networks against LiteRT: outputs of every row, every intermediate tensor of the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tensaw.check import check_model
from tensaw.spec.config import PRESETS

NETWORKS = {
    # name: (rows of the reference file, tensors in it)
    "ic_resnet8_int8": (8, 16),
    "kws_dscnn_int8": (9, 13),
    "vww_mobilenetv1_025_int8": (8, 31),
    "ad_autoencoder_int8": (72, 10),
}


def paths(models: Path, network: str) -> tuple[Path, Path]:
    folder = models / "mlperf_tiny"
    return folder / f"{network}.tflite", folder / "reference_outputs" / f"{network}.npz"


@pytest.mark.parametrize("backend", ["golden", "verilator"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_row_and_every_tensor(network: str, backend: str, models: Path) -> None:
    rows, tensors = NETWORKS[network]
    result = check_model(*paths(models, network), PRESETS["base"], backend)
    assert result.equal, str(result.differences[0][1])
    assert (result.runs, len(result.compared), result.uncompared) == (rows, tensors, [])
    assert (min(result.cycles) > 0) == (backend == "verilator")


@pytest.mark.parametrize(
    ("network", "tensor", "element"),
    [
        # A convolution's result, the sum of a residual add, what a reshape renames, a row of a matrix product.
        ("ic_resnet8_int8", "t26", (0, 9, 15, 30)),
        ("ic_resnet8_int8", "t25", (0, 31, 0, 7)),
        ("kws_dscnn_int8", "t32", (0, 60)),
        ("vww_mobilenetv1_025_int8", "t61", (0, 23, 23, 15)),
        ("ad_autoencoder_int8", "t25", (0, 5)),
    ],
)
def test_a_changed_byte_is_found(
    network: str, tensor: str, element: tuple[int, ...], models: Path, tmp_path: Path
) -> None:
    model, reference = paths(models, network)
    arrays = dict(np.load(reference))
    arrays[tensor] = arrays[tensor].copy()
    arrays[tensor][element] ^= 1
    np.savez(tmp_path / "changed.npz", **arrays)
    result = check_model(model, tmp_path / "changed.npz", PRESETS["base"], "golden", rows=1)
    ((run, difference),) = result.differences
    assert run == 0 and difference.count == 1
    assert difference.element == element
    assert difference.expected == arrays[tensor][element] and abs(difference.found - difference.expected) == 1
    assert difference.layer and difference.op
    for what, index in zip(("rows", "channels"), (element[1], element[-1]), strict=True):
        if difference.tile and what in difference.tile and len(element) == 4:
            first, last = difference.tile.split(what)[1].split(",")[0].split("..")
            assert int(first) <= index <= int(last)


def test_a_changed_output_names_its_run(models: Path, tmp_path: Path) -> None:
    model, reference = paths(models, "kws_dscnn_int8")
    arrays = dict(np.load(reference))
    arrays["outputs"] = arrays["outputs"].copy()
    arrays["outputs"][2, 7] ^= 2
    np.savez(tmp_path / "changed.npz", **arrays)
    told = []
    result = check_model(model, tmp_path / "changed.npz", PRESETS["base"], "golden", 3, lambda *now: told.append(now))
    ((run, difference),) = result.differences
    assert (run, difference.element, difference.op) == (2, (0, 7), "SOFTMAX")
    assert result.to_dict()["differences"][0]["element"] == [0, 7]
    assert told[-1] == ("Checking outputs", 2)
