"""Is every tensor of a network, run on some back end, what a reference says? If not: which layer, tile and element."""

from tensaw.check.check import CheckResult, check_model, check_network
from tensaw.check.comparison import Difference
from tensaw.check.reference import Reference, reference_from_file

__all__ = ["CheckResult", "Difference", "Reference", "check_model", "check_network", "reference_from_file"]
