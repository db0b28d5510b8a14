"""The products that addresses need: small multiplications over several cycles."""

from __future__ import annotations

from common.bench import Bench, testcase
from common.coverage import Cover

COVER = Cover("address_products")
cover_y = COVER.point("y", ("lowest", "negative", "0", "positive", "highest"))
cover_factor = COVER.cross("row and kernel rows", ("0", "1", "between", "255"), ("0", "1", "between", "255"))
cover_pitch = COVER.point("pitch", ("0", "small", "wraps"))


class ProductsBench(Bench):
    """Starts products with values of which edges are likely."""

    def factor(self) -> int:
        return self.choose(0, 1, 255, self.integers(2, 254))

    async def product(self) -> None:
        ports = self.ports
        pitch = self.choose(0, 1, self.integers(2, 4095), self.integers(0, (1 << 24) - 1), (1 << 24) - 1)
        row, kernel_rows = self.factor(), self.factor()
        y = self.choose(
            -(1 << 15), (1 << 15) - 1, 0, self.integers(-200, 200), self.integers(-(1 << 15), (1 << 15) - 1)
        )
        for name, value in (("pitch", pitch), ("row", row), ("kernel_rows", kernel_rows), ("y", y), ("start", 1)):
            getattr(ports, name).set(value)
        await self.clocks()
        ports.start.set(0)
        await self.clocks()
        assert not ports.done.get(), "done must fall after start"
        await self.until(lambda: bool(ports.done.get()), 20, "done")
        mask = (1 << 24) - 1
        found = ports.row_pitch.get(), ports.kernel_pitch.get(), ports.origin.get()
        assert found == (row * pitch & mask, kernel_rows * pitch & mask, y * pitch & mask), (pitch, row, kernel_rows, y)
        edge = {-(1 << 15): "lowest", 0: "0", (1 << 15) - 1: "highest"}
        cover_y(edge.get(y, "negative" if y < 0 else "positive"))
        cover_factor(tuple(str(value) if value in (0, 1, 255) else "between" for value in (row, kernel_rows)))
        cover_pitch("0" if pitch == 0 else "wraps" if max(row, kernel_rows) * pitch > mask else "small")
        # Results stay until the next start, whatever the operands do.
        self.randomise(ports.pitch, ports.row, ports.kernel_rows, ports.y)
        await self.clocks(self.integers(1, 3))
        assert found == (ports.row_pitch.get(), ports.kernel_pitch.get(), ports.origin.get()) and ports.done.get()


@testcase(ProductsBench)
async def random_products(bench: ProductsBench) -> None:
    """Modulo 2**24, signed and unsigned factors."""
    for _ in range(bench.count(150)):
        await bench.product()
