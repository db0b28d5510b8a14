"""Train the digits network, quantise it, and write the files beside this script: ``make example``.

Half a minute on one core. The same seed gives the same network on the same machine; sums in another order, as another
processor's linear algebra may choose, change its last digits, which is why the files are under version control.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import data
import numpy as np
from export import to_onnx, to_tflite
from layers import Array
from network import Network, softmax
from quantise import quantise
from threadpoolctl import threadpool_limits

FOLDER = Path(__file__).resolve().parent
SEED = 20240607
EPOCHS = 30
BATCH = 32
LEARNING_RATE = 4e-3


class Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1) with its usual constants."""

    def __init__(self, network: Network) -> None:
        self._layers = network.weighted
        self._moments = [[(np.zeros_like(p), np.zeros_like(p)) for p in layer.parameters] for layer in self._layers]
        self._step = 0

    def update(self, rate: float) -> None:
        """Move all parameters along their layers' gradients."""
        self._step += 1
        for layer, moments in zip(self._layers, self._moments, strict=True):
            for parameter, gradient, (first, second) in zip(layer.parameters, layer.gradients, moments, strict=True):
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient**2 - second)
                corrected = second / (1 - 0.999**self._step)
                parameter -= rate * first / (1 - 0.9**self._step) / (np.sqrt(corrected) + 1e-8)


def batches(images: Array, labels: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[Array, np.ndarray]]:
    """All images once in random order, some moved by a pixel: a scan is seldom centred exactly."""
    order = rng.permutation(len(labels))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        padded = np.pad(images[chosen], ((0, 0), (1, 1), (1, 1), (0, 0)))
        moves = rng.choice(3, (len(chosen), 2), p=(0.15, 0.7, 0.15))
        moved = [image[y : y + 8, x : x + 8] for image, (y, x) in zip(padded, moves, strict=True)]
        yield np.stack(moved), labels[chosen]


def train(digits: data.Digits, seed: int, epochs: int) -> Network:
    """Minimise the cross entropy; the learning rate falls to zero along a cosine."""
    network, rng = Network(seed), np.random.default_rng(seed + 1)
    optimiser = Adam(network)
    for epoch in range(epochs):
        rate = LEARNING_RATE * (1 + np.cos(np.pi * epoch / epochs)) / 2
        loss = 0.0
        for images, labels in batches(digits.train_images, digits.train_labels, rng):
            probabilities = softmax(network.forward(images)["classifier"])
            own = probabilities[np.arange(len(labels)), labels]
            loss -= float(np.log(own + 1e-12).sum())
            gradient = (probabilities - np.eye(10)[labels]) / len(labels)
            network.backward(gradient)
            optimiser.update(rate)
        if epoch % 5 == 4 or epoch == epochs - 1:
            accuracy = network.accuracy(digits.test_images, digits.test_labels)
            print(f"epoch {epoch + 1:3}: loss {loss / len(digits.train_labels):.4f}, held-out accuracy {accuracy:.2%}")
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=SEED, help=f"default: {SEED}")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"default: {EPOCHS}")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write to; default: beside this script")
    arguments = parser.parse_args()

    digits = data.load(arguments.seed)
    # The matrices are too small to share among threads, and one thread always adds up in the same order.
    with threadpool_limits(1):
        network = train(digits, arguments.seed, arguments.epochs)
    quantised = quantise(network, digits.train_images)
    folder = arguments.output
    (folder / "digits_int8.tflite").write_bytes(to_tflite(quantised))
    (folder / "digits_int8_qdq.onnx").write_bytes(to_onnx(quantised))
    np.savez_compressed(folder / "digits_images.npz", image=data.quantise_images(digits.test_images))
    np.savez_compressed(folder / "digits_labels.npz", digit=digits.test_labels.astype(np.int8))
    print(f"Wrote the networks, {len(digits.test_labels)} held-out images and their labels to {folder}.")


if __name__ == "__main__":
    main()
