"""scikit-learn's handwritten digits: 1,797 scans of 8 × 8 pixels with 17 grey levels, a part held out for testing.

The scans are from the UCI set "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak), which scikit-learn
carries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Digits", "load", "quantise_images"]

TEST_IMAGES = 360


@dataclass(frozen=True)
class Digits:
    """Images float64 (n, 8, 8, 1) from 0 to 1, labels int64 (n,)."""

    train_images: npt.NDArray[np.float64]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.float64]
    test_labels: npt.NDArray[np.int64]


def load(seed: int) -> Digits:
    """The digits in an order that depends on ``seed``, the last 360 of them for testing."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    images = bunch.images[order, :, :, None] / 16.0
    labels = bunch.target[order].astype(np.int64)
    return Digits(images[:-TEST_IMAGES], labels[:-TEST_IMAGES], images[-TEST_IMAGES:], labels[-TEST_IMAGES:])


def quantise_images(images: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """0 to 1 as the network takes it: int8, scale 1/255, zero point -128."""
    return (np.rint(images * 255) - 128).astype(np.int8)
