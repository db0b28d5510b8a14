"""Layouts against NumPy: an ONNX tensor's elements, found in the IR's memory after transposes and reshapes."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.compiler.frontends.onnx_layout import Layout, channels_last

seeds = pytest.mark.parametrize("seed", range(30), ids=lambda s: f"seed{s}")


def memory(array: np.ndarray, layout: Layout) -> list[int]:
    """The elements of an ONNX array in the order in which ``layout`` stores them."""
    return array.reshape(layout.factors).transpose(layout.order).ravel().tolist()


@seeds
def test_transposes_and_reshapes_move_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(int(n) for n in random.choice([1, 2, 3, 4, 6], 4))
    array = np.arange(np.prod(shape)).reshape(shape)
    layout: Layout | None = Layout.image(shape)
    stored = memory(array, layout)
    for _ in range(5):
        if random.random() < 0.5:
            order = tuple(int(i) for i in random.permutation(array.ndim))
            layout = layout.transpose(array.shape, order)
            if layout is None:
                return
            array = array.transpose(order)
        else:
            cut = int(random.integers(0, array.ndim + 1))
            array = array.reshape(int(np.prod(array.shape[:cut])), -1)
        assert memory(array, layout) == stored
        assert memory(array, layout.normal()) == stored


@seeds
def test_axes_describe_the_same_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(int(n) for n in random.choice([1, 2, 3, 5], 4))
    order = tuple(int(i) for i in random.permutation(4))
    layout = Layout.of(shape, order)
    found = layout.axes(shape)
    assert found is not None
    array = np.arange(np.prod(shape)).reshape(shape)
    assert array.transpose(found).ravel().tolist() == memory(array, layout)
    assert layout.same_as(Layout.of(shape, found))


@seeds
def test_features_follow_a_flattened_image(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = (1, *(int(n) for n in random.integers(1, 6, 3)))
    image = random.normal(size=shape)
    weights = random.normal(size=(4, image.size))
    order = Layout.image(shape).features(1, image.size)
    assert order is not None
    stored = image.transpose(channels_last(4)).ravel()
    np.testing.assert_allclose(weights[:, order] @ stored, weights @ image.ravel())


def test_what_cannot_be_described_is_refused() -> None:
    flat = Layout.image((1, 4, 3, 3))
    # An axis of 18 of the flattened 36 features cuts no channel, one of 5 would.
    assert flat.split((1, 2, 18)) is not None
    assert Layout.of((6, 5)).split((5, 6)) is None
    assert Layout.of((6, 5)).transpose((5, 6), (1, 0)) is None
    assert flat.axes((1, 36)) is None
    assert Layout.of((4, 6), (1, 0)).features(4, 6) is None


def test_channels_last() -> None:
    assert channels_last(4) == (0, 2, 3, 1)
    assert channels_last(3) == (0, 2, 1)
    assert channels_last(2) == (0, 1)
