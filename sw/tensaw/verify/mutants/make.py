"""Mutants of the generated Verilog: all of them in one text, chosen when a simulation starts.

Yosys' ``mutate`` draws the changes (a bit of a cell's port inverted, tied to 0 or 1, or inverted under another one's
control) so that all modules, cells and source lines get their share, and builds each in behind a comparison with the
number of the mutant. One build of a simulator then serves for all: ``+mutant=17`` on its command line chooses.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tensaw.harness.cache import cached, digest
from tensaw.harness.tools import find_yosys
from tensaw.spec.errors import ToolError

__all__ = ["READ", "Mutant", "MutantSet", "make_mutants", "run_yosys"]

_SELECT = "tensaw_mutant"
READ = "read_verilog given.v; hierarchy -top {top}; proc -norom; memory_collect; opt_clean"
_ASSIGNED = re.compile(r" +(?:always @\(.*?\) )?(?:if \(\w+\) )?(?!if\b)([^ ([]+)(?:\[.*?\])? <?= ")
_OPTION = re.compile(r"-(\w+) (\S+)")
# Ports that hold settings of a memory, which no hardware could have otherwise.
_SETTING = re.compile(r" -port (?:RD|WR)_")


@dataclass(frozen=True)
class Mutant:
    """One change: bit ``bit`` of ``port`` of ``cell`` in ``module`` is changed as ``mode`` says, where ``line`` of the
    Verilog, ``source``, computes it; inside an ``always`` block that is for ``target``, else that is empty. Numbers
    begin with 1; 0 is the unchanged hardware. ``command`` is Yosys' own."""

    number: int
    module: str
    cell: str
    port: str
    bit: int
    mode: str
    wire: str
    line: int
    source: str
    target: str
    command: str

    def __str__(self) -> str:
        target = f" for {self.target}" if self.target and not self.source.startswith(f"{self.target} ") else ""
        return f"{self.module}: {self.mode} of bit {self.bit} of {self.cell}.{self.port} in `{self.source}`{target}"

    @property
    def controlled(self) -> str:
        """The same, and under which other bit of the port one is inverted."""
        control = dict(_OPTION.findall(self.command)).get("ctrlbit")
        return f"{self} under bit {control}" if control else str(self)


@dataclass(frozen=True)
class MutantSet:
    """Verilog with all ``mutants``, each chosen by ``+mutant=NUMBER``."""

    original: str
    """The Verilog without mutants."""
    text: str
    """With a port ``tensaw_mutant`` at every module that holds mutants."""
    mutants: tuple[Mutant, ...]

    def verilog(self, top: str) -> str:
        """The text for a simulation of the module ``top`` and what it holds."""
        return _selected(self.text, top)


def make_mutants(verilog: str, top: str, count: int, seed: int) -> MutantSet:
    """``count`` different mutants of a design, fewer if there are not so many; kept in the cache. Raises ToolError."""
    yosys = find_yosys()
    key = digest({"verilog": verilog, "top": top, "what": f"{count} {seed}", "make": Path(__file__).read_text()})

    def build(directory: Path) -> None:
        text, mutants = _make(yosys, verilog, top, count, seed)
        (directory / "mutants.v").write_text(text)
        (directory / "mutants.json").write_text(json.dumps([asdict(mutant) for mutant in mutants]))

    entry = cached("mutants", key, build)
    mutants = tuple(Mutant(**values) for values in json.loads((entry / "mutants.json").read_text()))
    return MutantSet(verilog, (entry / "mutants.v").read_text(), mutants)


def _make(yosys: str, verilog: str, top: str, count: int, seed: int) -> tuple[str, list[Mutant]]:
    read = READ.format(top=top)
    with tempfile.TemporaryDirectory(prefix="tensaw-mutants-") as place:
        folder = Path(place)
        (folder / "given.v").write_text(verilog)
        run_yosys(yosys, folder, f"{read}; mutate -list {count + count // 2 + 50} -seed {seed} -o list.txt")
        lines = (folder / "list.txt").read_text().splitlines()
        lines = [line for line in lines if not _SETTING.search(line)][:count]
        width = len(lines).bit_length()
        commands = [
            f"mutate -ctrl {_SELECT} {width} {number} {line.removeprefix('mutate ')}"
            for number, line in enumerate(lines, 1)
        ]
        run_yosys(
            yosys, folder, "\n".join([*read.split("; "), *commands, "opt_clean", "write_verilog -noattr mutants.v"])
        )
        text = (folder / "mutants.v").read_text()
    source = verilog.splitlines()
    return text, [_mutant(number, line, source) for number, line in enumerate(lines, 1)]


def run_yosys(yosys: str, folder: Path, script: str, *options: str) -> None:
    """Run commands, one a line or separated by ``; ``, in a folder. Raises ToolError."""
    (folder / "script.ys").write_text(script.replace("; ", "\n") + "\n")
    command = [yosys, "-q", *options, "script.ys"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        raise ToolError(f"Yosys failed to work on the mutants: {result.stderr.strip()[-300:]}")


def _mutant(number: int, line: str, source: list[str]) -> Mutant:
    options = dict(_OPTION.findall(line))
    places = re.findall(r"-src given\.v:(\d+)", line)
    place = int(places[-1]) if places else 0
    # Names of cells end in numbers that change with every change of the text.
    cell = re.sub(r"\$given\.v:\d+\$\d+$|\$\d+$", "", options["cell"]).lstrip("$\\")
    return Mutant(
        number, options["module"].lstrip("\\"), cell, options["port"].lstrip("\\"), int(options["portbit"]),
        options["mode"], options.get("wire", "").lstrip("\\"), place, source[place - 1].strip() if place else "",
        _target(source, place), line,
    )  # fmt: skip


def _target(source: list[str], place: int) -> str:
    """What the ``always`` block around a line assigns to; empty outside of one."""
    start = place - 1
    while start > 0 and source[start].startswith("    "):
        start -= 1
    if place == 0 or not source[start].startswith("  always"):
        return ""
    assigned = (_ASSIGNED.match(line) for line in source[start:])
    return next((match[1] for match in assigned if match), "")


def _selected(text: str, top: str) -> str:
    """Take the number of the mutant from the simulator's command line instead of a port of the module ``top``."""
    start = text.index(f"module {top}(")
    end = text.index("endmodule", start)
    module = re.sub(rf",\s*{_SELECT}(?=\s*[,)])", "", text[start:end], count=1)
    module = re.sub(rf"^  input (?:\[\d+:0\] )?{_SELECT};\n", "", module, flags=re.MULTILINE)
    chosen = rf'  reg \1{_SELECT};\n  initial if (!$value$plusargs("mutant=%d", {_SELECT})) {_SELECT} = 0;\n'
    module = re.sub(rf"^  wire ((?:\[\d+:0\] )?){_SELECT};\n", chosen, module, flags=re.MULTILINE)
    return text[:start] + module + text[end:]
