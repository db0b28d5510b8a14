"""Making a failing case smaller: the shortest part of the network that still fails, and its first wrong tensor."""

from __future__ import annotations

from tensaw.regress.bench import Bench, Outcome

__all__ = ["shrink"]


def shrink(bench: Bench, outcome: Outcome) -> Outcome:
    """The failure with as few of the network's first operators as still fail in the same way; then, if it still fails
    with every tensor stored, that failure, which names the first wrong tensor."""
    case, best = outcome.case, outcome
    for layers in range(1, len(case.whole_graph.ops)):
        smaller = bench.run(case.shrunk(layers, case.keep_tensors))
        if smaller.kind == outcome.kind:
            best = smaller
            break
    if not best.case.options.keep_tensors:
        named = bench.run(case.shrunk(best.case.layers, True))
        if named.kind == outcome.kind:
            best = named
    return best
