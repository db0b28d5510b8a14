"""What a run looks like to a person: one HTML file, and a trace for Perfetto."""

from tensaw.report.html import html_report
from tensaw.report.perfetto import perfetto_trace

__all__ = ["html_report", "perfetto_trace"]
