"""What a bench must know of a block's ports: names, directions, and how their bits divide into fields.

The description is plain data, so that benches need neither Amaranth nor the block's source. A layout is one of

- ``{"bits": n, "signed": bool}``;
- ``{"struct": [[name, layout], ...]}``, the first field in the lowest bits;
- ``{"array": layout, "length": n}``, element 0 in the lowest bits.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Flow

from tensaw.rtl.shared import port_name

__all__ = ["describe_ports"]


def describe_ports(component: wiring.Component) -> list[dict[str, Any]]:
    """For each port its ``name`` in Verilog, ``path`` of members, whether it is an ``input``, and its ``layout``."""
    return [
        {
            "name": port_name(path),
            "path": list(path),
            "input": member.flow is Flow.In,
            "layout": _describe(member.shape),
        }
        for path, member, _ in component.signature.flatten(component)
    ]


def _describe(shape: Any) -> dict[str, Any]:
    if isinstance(shape, data.StructLayout):
        return {"struct": [[name, _describe(field)] for name, field in shape.members.items()]}
    if isinstance(shape, data.ArrayLayout):
        return {"array": _describe(shape.elem_shape), "length": shape.length}
    plain = Shape.cast(shape)
    return {"bits": plain.width, "signed": plain.signed}
