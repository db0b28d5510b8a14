"""An IP-XACT component (IEEE 1685-2014): ports, the two AXI buses with AMBA's bus definitions, the register map."""

from __future__ import annotations

import importlib.metadata
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from tensaw.integration.core import Core
from tensaw.rtl.export import TOP
from tensaw.spec.registers import ADDRESS_BITS, REGISTERS, Access, Bit

__all__ = ["files", "ip_xact"]

NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
_LIBRARY = {"vendor": "tensaw", "library": "npu", "name": TOP}
_ACCESS = {
    Access.READ: ("read-only", None),
    Access.READ_WRITE: ("read-write", None),
    Access.WRITE_ONE: ("write-only", None),
    Access.CLEAR: ("read-write", "oneToClear"),
}


def files(core: Core) -> dict[str, str]:
    """Its files, name to text."""
    return {f"{TOP}.xml": ip_xact(core)}


def ip_xact(core: Core) -> str:
    """The text of ``tensaw_npu.xml``."""
    ElementTree.register_namespace("ipxact", NAMESPACE)
    root = Element(_tag("component"))
    for name, value in {**_LIBRARY, "version": importlib.metadata.version("tensaw")}.items():
        _add(root, name, value)
    buses = _add(root, "busInterfaces")
    _axi(buses, core, "s_axi", "AXI4-Lite")
    _axi(buses, core, "m_axi", "AXI4")
    _signal(buses, "clk", "clock", "CLK", "slave")
    _signal(buses, "rst", "reset", "RST", "slave")
    _signal(buses, "irq", "interrupt", "IRQ", "master")
    spaces = _add(root, "addressSpaces")
    space = _add(spaces, "addressSpace")
    _add(space, "name", "memory")
    _add(space, "range", str(1 << core.config.address_width))
    _add(space, "width", str(core.config.bus_bytes * 8))
    _registers(_add(root, "memoryMaps"))
    _model(_add(root, "model"), core)
    files = _add(_add(root, "fileSets"), "fileSet")
    _add(files, "name", "verilog")
    for source in core.sources:
        file = _add(files, "file")
        _add(file, "name", source)
        _add(file, "fileType", "verilogSource")
    _add(root, "description", f"A systolic-array NPU, {core.config.rows} x {core.config.columns}.")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _add(parent: Element, name: str, text: str | None = None, **attributes: str) -> Element:
    element = SubElement(parent, _tag(name), {_tag(key): value for key, value in attributes.items()})
    element.text = text
    return element


def _bus(buses: Element, name: str, kind: dict[str, str], abstraction: str, ports: dict[str, str]) -> Element:
    """A bus interface with its port map; returns it for the mode, which stands behind the abstraction."""
    bus = _add(buses, "busInterface")
    _add(bus, "name", name)
    SubElement(bus, _tag("busType"), kind)
    types = _add(_add(bus, "abstractionTypes"), "abstractionType")
    SubElement(types, _tag("abstractionRef"), {**kind, "name": abstraction})
    maps = _add(types, "portMaps")
    for logical, physical in ports.items():
        entry = _add(maps, "portMap")
        _add(_add(entry, "logicalPort"), "name", logical)
        _add(_add(entry, "physicalPort"), "name", physical)
    return bus


def _axi(buses: Element, core: Core, name: str, kind: str) -> None:
    definition = {"vendor": "amba.com", "library": "AMBA4", "name": kind, "version": "r0p0_0"}
    ports = {logical: port.name for logical, port in core.bus(f"{name}_").items()}
    ports |= {"ACLK": "clk"}
    bus = _bus(buses, name, definition, f"{kind}_rtl", ports)
    if name == "s_axi":
        SubElement(_add(bus, "slave"), _tag("memoryMapRef"), {"memoryMapRef": "registers"})
    else:
        SubElement(_add(bus, "master"), _tag("addressSpaceRef"), {"addressSpaceRef": "memory"})


def _signal(buses: Element, port: str, kind: str, logical: str, mode: str) -> None:
    definition = {"vendor": "xilinx.com", "library": "signal", "name": kind, "version": "1.0"}
    bus = _bus(buses, port, definition, f"{kind}_rtl", {logical: port})
    _add(bus, mode)
    parameters = {"clock": {"ASSOCIATED_BUSIF": "s_axi:m_axi", "ASSOCIATED_RESET": "rst"},
                  "reset": {"POLARITY": "ACTIVE_HIGH"},
                  "interrupt": {"SENSITIVITY": "LEVEL_HIGH"}}[kind]  # fmt: skip
    place = _add(bus, "parameters")
    for name, value in parameters.items():
        parameter = SubElement(place, _tag("parameter"), {"parameterId": f"{port}_{name}"})
        _add(parameter, "name", name)
        _add(parameter, "value", value)


def _registers(maps: Element) -> None:
    memory_map = _add(maps, "memoryMap")
    _add(memory_map, "name", "registers")
    block = _add(memory_map, "addressBlock")
    _add(block, "name", "registers")
    _add(block, "baseAddress", "0")
    _add(block, "range", str(1 << ADDRESS_BITS))
    _add(block, "width", "32")
    _add(block, "usage", "register")
    for register in REGISTERS:
        place = _add(block, "register")
        _add(place, "name", register.name)
        _add(place, "description", register.text)
        _add(place, "addressOffset", f"'h{register.offset:03x}")
        _add(place, "size", "32")
        access, modified = _ACCESS[register.access]
        for bit in register.bits or (Bit("value", 0, 32, register.text),):
            field = _add(place, "field")
            _add(field, "name", bit.name)
            _add(field, "description", bit.text)
            _add(field, "bitOffset", str(bit.low))
            _add(field, "bitWidth", str(bit.width))
            _add(field, "access", access)
            if modified:
                _add(field, "modifiedWriteValue", modified)


def _model(model: Element, core: Core) -> None:
    view = _add(_add(model, "views"), "view")
    _add(view, "name", "rtl")
    _add(view, "envIdentifier", "verilogSource:any:synthesis")
    _add(view, "componentInstantiationRef", "rtl")
    instantiation = _add(_add(model, "instantiations"), "componentInstantiation")
    _add(instantiation, "name", "rtl")
    _add(instantiation, "language", "verilog")
    _add(instantiation, "moduleName", TOP)
    reference = _add(instantiation, "fileSetRef")
    _add(reference, "localName", "verilog")
    ports = _add(model, "ports")
    for port in core.ports:
        place = _add(ports, "port")
        _add(place, "name", port.name)
        wire = _add(place, "wire")
        _add(wire, "direction", "out" if port.output else "in")
        if port.width > 1:
            vector = _add(_add(wire, "vectors"), "vector")
            _add(vector, "left", str(port.width - 1))
            _add(vector, "right", "0")
