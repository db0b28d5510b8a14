"""The digits example: the committed networks are as good as they should be, and the scripts work."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tensaw.cli.calls import load_network
from tensaw.model.graph import run_graph

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """int8 (360, 8, 8, 1)."""
    return np.load(DIGITS / "digits_images.npz")["image"]


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """int8 (360,)."""
    return np.load(DIGITS / "digits_labels.npz")["digit"]


def golden(name: str, images: np.ndarray) -> np.ndarray:
    """Outputs of the golden model, (images, 10)."""
    graph = load_network(DIGITS / name)
    (source,), (sink,) = graph.inputs, graph.outputs
    shape = graph.tensors[source.tensor].shape
    runs = [run_graph(graph, {source.tensor: image.reshape(shape)})[sink.tensor] for image in images]
    return np.stack(runs).reshape(len(images), -1)


def test_the_held_out_images_are_whole(images: np.ndarray, labels: np.ndarray) -> None:
    assert (images.shape, images.dtype, labels.shape) == ((360, 8, 8, 1), np.int8, (360,))
    assert set(labels) == set(range(10)) and (images.min(), images.max()) == (-128, 127)


@pytest.mark.parametrize("name", ["digits_int8.tflite", "digits_int8_qdq.onnx"])
def test_accuracy_of_the_golden_model(name: str, images: np.ndarray, labels: np.ndarray) -> None:
    assert (golden(name, images).argmax(1) == labels).mean() >= 0.96


def test_the_golden_model_equals_litert(images: np.ndarray) -> None:
    pytest.importorskip("ai_edge_litert")
    from tensaw.networks.litert import LitertReference

    reference = LitertReference((DIGITS / "digits_int8.tflite").read_bytes())
    expected = np.concatenate([reference.run([image[None]])[0] for image in images])
    assert np.array_equal(golden("digits_int8.tflite", images), expected)


def test_training_repeats_itself(monkeypatch: pytest.MonkeyPatch, images: np.ndarray, labels: np.ndarray) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(DIGITS))
    data, export, quantise, train = map(importlib.import_module, ("data", "export", "quantise", "train"))
    digits = data.load(train.SEED)
    assert np.array_equal(data.quantise_images(digits.test_images), images)
    assert np.array_equal(digits.test_labels, labels)
    few = data.Digits(digits.train_images[:320], digits.train_labels[:320], digits.test_images, digits.test_labels)
    files = []
    for _ in range(2):
        network = quantise.quantise(train.train(few, 5, 1), few.train_images)
        files.append((export.to_tflite(network), export.to_onnx(network)))
    assert files[0] == files[1]


def test_run_checks_every_byte_on_the_golden_back_end(tmp_path: Path) -> None:
    script = [sys.executable, str(DIGITS / "run.py"), "--sim", "golden", "--images", "5", "--output", str(tmp_path)]
    result = subprocess.run(script, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "50 of 50" in result.stdout
