"""Writers of quantised networks: for tests against LiteRT, for benchmarks and for examples."""

from tensaw.networks.tflite_builder import TensorHandle, TfliteBuilder

__all__ = ["TensorHandle", "TfliteBuilder"]
