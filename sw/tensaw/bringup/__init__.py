"""Finding out what is wrong with a board: step by step, from the serial line to a whole network."""

from tensaw.bringup.finding import Finding
from tensaw.bringup.steps import STEPS, StepResult, run_steps
from tensaw.bringup.throughput import Throughput, measure

__all__ = ["Finding", "STEPS", "StepResult", "Throughput", "measure", "run_steps"]
