"""Runs a ``.tflite`` network on LiteRT with its reference kernels: what the golden model is held to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tensaw.spec.errors import ToolError

__all__ = ["LitertReference"]


class LitertReference:
    """A network on LiteRT, ``OpResolverType.BUILTIN_REF``, no delegate, one thread.

    Raises ToolError if LiteRT is not installed.
    """

    def __init__(self, model: bytes, keep: bool = False) -> None:
        """``keep``: keep intermediate tensors, so that :meth:`tensor` can read them."""
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError as error:
            raise ToolError(
                "LiteRT, the reference for .tflite networks, is not installed: install the package ai-edge-litert "
                "(tensaw[dev] contains it)."
            ) from error
        self._interpreter = Interpreter(
            model_content=model,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=keep,
            num_threads=1,
        )
        self._interpreter.allocate_tensors()

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Outputs for one set of inputs, both in the file's order, types and shapes."""
        details = self._interpreter.get_input_details()
        for detail, array in zip(details, inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        return [self.tensor(detail["index"]) for detail in self._interpreter.get_output_details()]

    def tensor(self, index: int) -> np.ndarray:
        """A tensor of the last run, by its number in the file."""
        return np.array(self._interpreter.get_tensor(index))
