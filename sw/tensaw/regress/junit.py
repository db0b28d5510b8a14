"""Results as JUnit XML, which continuous-integration servers show."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from xml.etree import ElementTree

from tensaw.regress.jobs import Result

__all__ = ["junit_xml"]

_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(results: Iterable[Result]) -> str:
    """The text of the file: a suite for each part, a case for each result."""
    root = ElementTree.Element("testsuites", name="tensaw regress")
    for part, members in groupby(sorted(results, key=lambda r: (r.part, r.name)), lambda result: result.part):
        own = list(members)
        suite = ElementTree.SubElement(
            root, "testsuite", name=part, tests=str(len(own)),
            failures=str(sum(result.status == "fail" for result in own)),
            skipped=str(sum(result.status == "skip" for result in own)),
            time=f"{sum(result.seconds for result in own):.3f}",
        )  # fmt: skip
        for result in own:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"tensaw.{part}", name=result.name, time=f"{result.seconds:.3f}"
            )
            text = _NOT_XML.sub("?", result.text)
            if result.status == "fail":
                failure = ElementTree.SubElement(case, "failure", message=text.split("\n")[0][:200])
                failure.text = f"{text}\nrepeat: {result.command}" if result.command else text
            elif result.status == "skip":
                ElementTree.SubElement(case, "skipped", message=text[:200])
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
