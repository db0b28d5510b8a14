"""Programs as a whole: repeatable bytes, the weight stream, tokens, following, transposed images."""

from __future__ import annotations

import numpy as np

from tensaw.compiler.actions import LOOKUP, SCRATCHPAD, Action, Rows, Span
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.ir import Graph, Lookup, Port, Tensor
from tensaw.compiler.pipeline import CompileOptions, compile_graph
from tensaw.compiler.tokens import order_actions
from tensaw.compiler.weights import WeightStore
from tensaw.networks.tflite_builder import TfliteBuilder
from tensaw.spec.config import PRESETS
from tensaw.spec.isa import Follow, Peer, Turn, Unit, decode
from tensaw.spec.program import Program

BASE = PRESETS["base"]
KEEP = CompileOptions(transpose=False)


def network(rng: np.random.Generator, shape: tuple[int, ...], kernels: list[tuple[int, int, int]]) -> bytes:
    """Convolutions (height, width, outputs) one after the other, then a pool over everything."""
    builder = TfliteBuilder("net")
    x = builder.input(shape, 0.1, 3)
    for height, width, outputs in kernels:
        weights = rng.integers(-127, 128, (outputs, height, width, x.shape[3]))
        x = builder.conv2d(x, weights, None, weight_scale=0.002, out_scale=0.1, out_zp=0)
    builder.output(builder.average_pool2d(x, (x.shape[1], x.shape[2]), padding="VALID"))
    return builder.finish()


def commands(program: Program, name: str) -> list[dict[str, int]]:
    """Fields of all words of one kind."""
    decoded = [decode(int(word)) for word in program.words]
    return [dict(command.values) for command in decoded if command.word.full_name == name]


def test_same_graph_same_bytes(rng) -> None:
    data = network(rng, (1, 12, 12, 3), [(3, 3, 20), (1, 1, 9)])
    programs = [compile_graph(load_tflite(data, "net"), BASE).to_bytes() for _ in range(2)]
    assert programs[0] == programs[1]


def test_weights_are_streamed_once_and_in_order(rng) -> None:
    program = compile_graph(load_tflite(network(rng, (1, 12, 12, 3), [(3, 3, 40), (3, 3, 40)]), "net"), BASE)
    first, second, rest = commands(program, "WEIGHT.RUN")
    # The first tile, which is small, before the input, the rest of the layer beside it, the others behind it.
    assert [run["turn"] for run in (first, second, rest)] == [Turn.FIRST, Turn.SHARED, Turn.LAST]
    assert first["bytes"] == (4 + 3 * 9) * 16
    assert first["bytes"] + second["bytes"] == program.layers[0].weight_bytes
    assert rest["bytes"] == sum(layer.weight_bytes for layer in program.layers[1:])
    offsets = [word["offset"] for word in commands(program, "WEIGHT.MEMORY")]
    assert np.diff(offsets).tolist() == [first["bytes"], second["bytes"]]


def test_layers_follow_each_other(rng) -> None:
    graph = load_tflite(network(rng, (1, 9, 9, 16), [(3, 3, 16), (3, 3, 16)]), "net")
    program = compile_graph(graph, BASE)
    follows = [(run["follow"], run["follow_run"]) for run in commands(program, "ARRAY.RUN")]
    assert follows == [(Follow.LOAD, 0), (Follow.OUTPUT, 0), (Follow.OUTPUT, 1)]
    assert not any(
        run["follow"] for run in commands(compile_graph(graph, BASE, CompileOptions(follow=False)), "ARRAY.RUN")
    )


def test_inputs_are_followed_line_by_line_in_small_blocks(rng, agree) -> None:
    program = agree(load_tflite(network(rng, (1, 32, 32, 3), [(3, 3, 16)]), "net"), BASE, rng)
    (load,) = commands(program, "LOAD.RUN")
    assert load["lines"] == 1 and commands(program, "LOAD.PLANES") == [{"count": 32}]
    assert commands(program, "ARRAY.RUN")[0]["follow"] == Follow.LOAD
    assert commands(program, "ARRAY.RUN")[0]["wait"] == 0
    assert commands(program, "ARRAY.BLOCK")[0] == {"height": 1, "width": 32}


def test_blocks_are_larger_where_weights_are_what_comes_late(rng, agree) -> None:
    # 45 and 144 rows of weights beside an image of 768 bytes; blocks of 16 rows only, lest weights be awaited.
    program = agree(load_tflite(network(rng, (1, 16, 16, 3), [(5, 5, 16)]), "net"), BASE, rng)
    assert commands(program, "ARRAY.RUN")[0]["follow"] == Follow.LOAD
    assert commands(program, "ARRAY.BLOCK")[0] == {"height": 4, "width": 16}


def test_all_weights_of_a_tile_come_first_where_blocks_are_short(rng, agree) -> None:
    # 49 rows: more than would always come first. A step of 16 positions leaves no time for the next one's.
    program = agree(load_tflite(network(rng, (1, 48, 16, 3), [(3, 5, 8)]), "net"), BASE, rng, KEEP)
    assert commands(program, "ARRAY.BLOCK")[0] == {"height": 1, "width": 16}
    assert commands(program, "WEIGHT.RUN")[0] == {"tag": 2, "bytes": 49 * 16, "turn": Turn.FIRST}
    wide = agree(load_tflite(network(rng, (1, 48, 200, 3), [(3, 5, 8)]), "net"), BASE, rng, KEEP, races=False)
    assert commands(wide, "ARRAY.BLOCK")[0] == {"height": 1, "width": 200}
    assert commands(wide, "WEIGHT.RUN")[0] == {"tag": 2, "bytes": (4 + 15) * 16, "turn": Turn.FIRST}


def test_rows_leave_banks_to_store_where_the_output_does_not_fit(rng, agree) -> None:
    # 192 bytes of pixels are twelve words; the next row begins five banks further.
    program = agree(load_tflite(network(rng, (1, 64, 64, 3), [(3, 3, 32)]), "net"), BASE, rng, races=False)
    assert commands(program, "ARRAY.INPUT")[0]["pitch"] == 17 * 16
    small = agree(load_tflite(network(rng, (1, 32, 64, 3), [(3, 3, 32)]), "net"), BASE, rng, races=False)
    assert commands(small, "ARRAY.INPUT")[0]["pitch"] == 12 * 16


def test_short_lines_are_loaded_together(rng, agree) -> None:
    # 30 lines of 10 bytes: 10 lines at a time fill words of the bus but for a few.
    graph = load_tflite(network(rng, (1, 30, 10, 1), [(3, 3, 8)]), "net")
    program = agree(graph, BASE, rng, CompileOptions(transpose=False))
    assert commands(program, "LOAD.RUN")[0]["lines"] == 10
    assert commands(program, "LOAD.PLANES") == [{"count": 3}]


def test_images_of_a_batch_are_loaded_one_by_one(rng, agree) -> None:
    shape = (3, 8, 8, 16)
    table = Lookup("table", "TANH", ("t0",), "t1", np.arange(-128, 128).astype(np.int8))
    tensors = {name: Tensor(name, shape) for name in ("t0", "t1")}
    graph = Graph("net", tensors, [table], [Port("t0", "t0", shape)], [Port("t1", "t1", shape)])
    assert len(commands(agree(graph, BASE, rng), "LOAD.RUN")) == 3


def test_a_load_gets_not_too_far_ahead_of_who_follows_it() -> None:
    """Numbers of runs are told modulo 256: nobody follows if LOAD can be more than 127 runs ahead."""

    def ordered(count: int, tied: bool) -> list[Action]:
        loads = [action(Unit.LOAD, writes=(span(0, 10),), rows=Rows(0, 10, 1, 10))]
        more = [action(Unit.LOAD, writes=(span(100 + n, 101 + n),)) for n in range(count)]
        if tied:
            more[60] = action(Unit.LOAD, writes=(span(5, 6),))  # overwrites what the run reads
        reader = action(Unit.ARRAY, reads=(span(0, 10),), rows=Rows(0, 10, 1, 10))
        order_actions([*loads, reader, *more])
        return [*loads, reader, *more]

    assert ordered(126, False)[1].run["follow"] == Follow.LOAD
    assert ordered(200, True)[1].run["follow"] == Follow.LOAD
    far = ordered(127, False)
    assert far[1].run["follow"] == Follow.NOBODY and far[1].wait == 1 and far[0].signal == 2


def test_no_more_tokens_wait_than_counters_hold() -> None:
    """Of 300 stored parts that are loaded again each could give a token before the first one is taken."""

    def transfers() -> tuple[list[Action], list[Action]]:
        stores = [action(Unit.STORE, writes=(span(n, n + 1),)) for n in range(300)]
        return stores, [action(Unit.LOAD, reads=(span(n, n + 1),)) for n in range(300)]

    stores, loads = transfers()
    order_actions([*stores, *loads])
    assert [n for n, load in enumerate(loads) if load.wait] == list(range(129))
    assert [n for n, store in enumerate(stores) if store.signal] == [*range(128), 299]  # the last one's end says all
    assert {load.wait for load in loads} == {0, 1 << Peer.STORE}
    stores, loads = transfers()
    order_actions([part for pair in zip(stores, loads, strict=True) for part in pair])
    assert all(load.wait and store.signal for store, load in zip(stores, loads, strict=True))


def test_tall_kernels_are_transposed(rng, agree) -> None:
    graph = load_tflite(network(rng, (1, 30, 8, 1), [(9, 2, 32)]), "net")
    program = agree(graph, BASE, rng)
    assert program.inputs[0].shape == (1, 8, 30, 1)
    assert program.inputs[0].permutation == (0, 2, 1, 3)
    plain = agree(graph, BASE, rng, CompileOptions(transpose=False))
    assert plain.inputs[0].permutation is None
    assert program.layers[0].limit < 0.5 * plain.layers[0].limit


def test_few_output_channels_share_the_columns(rng, agree) -> None:
    program = agree(load_tflite(network(rng, (1, 16, 16, 3), [(3, 3, 8)]), "net"), BASE, rng)
    # Three kernel rows, two pixels at a time.
    assert program.layers[0].limit == 3 * 16 * 16 // 2


def test_every_run_has_a_tag_of_its_layer(rng) -> None:
    program = compile_graph(load_tflite(network(rng, (1, 12, 12, 3), [(3, 3, 20)]), "net"), BASE)
    for run in commands(program, "ARRAY.RUN"):
        assert program.layers[program.tags[run["tag"]].layer].kind in ("CONV_2D", "AVERAGE_POOL_2D")


def action(unit: Unit, reads: tuple[Span, ...] = (), writes: tuple[Span, ...] = (), **more) -> Action:
    return Action(unit, "RUN", {}, {}, 0, reads=reads, writes=writes, **more)


def span(start: int, end: int) -> Span:
    return Span(SCRATCHPAD, start, end)


def test_tokens_only_where_bytes_are_shared() -> None:
    actions = [
        action(Unit.LOAD, writes=(span(0, 10),)),
        action(Unit.LOAD, writes=(span(10, 20),)),
        action(Unit.ARRAY, reads=(span(0, 10),)),
        action(Unit.ARRAY, reads=(span(5, 15),)),
        action(Unit.ARRAY, reads=(span(0, 20),)),
        action(Unit.LOAD, writes=(span(15, 18),)),
    ]
    order_actions(actions)
    assert [a.signal for a in actions] == [2, 2, 0, 0, 1, 0]
    assert [a.wait for a in actions] == [0, 0, 1, 1, 0, 2]


def test_what_the_array_run_waited_for_need_not_be_waited_for_again() -> None:
    load = action(Unit.LOAD, writes=(span(0, 12),))
    run = action(Unit.ARRAY, reads=(span(0, 10),))
    drain = action(Unit.OUTPUT, writes=(span(10, 12),), partner=run)
    order_actions([load, run, drain])
    assert drain.wait == 0
    operand = action(Unit.OUTPUT, reads=(span(0, 4),), writes=(span(20, 24),))
    order_actions([load, operand])
    assert operand.wait == 1


def test_a_table_is_replaced_after_its_last_use() -> None:
    table = Span(LOOKUP, 0, 256)
    actions = [
        action(Unit.ARRAY, writes=(table,)),
        action(Unit.OUTPUT, reads=(table,)),
        action(Unit.ARRAY, writes=(table,)),
    ]
    order_actions(actions)
    assert [a.wait for a in actions] == [0, 2, 4]


def test_rows_that_may_be_followed() -> None:
    written = Rows(base=100, pitch=32, height=8, length=30)
    assert written.cover(Rows(100, 32, 8, 30))
    assert written.cover(Rows(104, 32, 5, 10))
    assert not written.cover(Rows(104, 32, 8, 30)), "it would reach into the next row"
    assert not written.cover(Rows(132, 32, 7, 30)), "row 0 is the producer's row 1"
    assert not written.cover(Rows(100, 64, 4, 30))
    assert not written.cover(Rows(260, 32, 1, 33)), "one row, but it lies in later ones of the producer"
    assert not written.cover(Rows(100, 32, 1, 33)), "one row that reaches into the producer's row 1"
    assert Rows(100, 32, 1, 320).cover(Rows(260, 32, 1, 33)), "the producer's only row"


def test_equal_weights_are_stored_once() -> None:
    config = BASE.replace(columns=4, column_group=4, requant_lanes=4)
    store = WeightStore(config)
    first = store.blob("a", lambda: np.zeros((3, 4), np.uint8))
    assert (first.size, first.pad, first.rows) == (16, 1, 4), "padded to whole bus words"
    assert store.blob("a", lambda: np.ones((3, 4), np.uint8)) is first
    assert store.size == 16


def test_tables_of_softmax_are_loaded_before_anything_else(rng, agree) -> None:
    builder = TfliteBuilder("net")
    x = builder.input((1, 8), 0.1, 3)
    weights = rng.integers(-127, 128, (8, 8))
    x = builder.fully_connected(x, weights, None, weight_scale=0.01, out_scale=0.1, out_zp=0)
    builder.output(builder.softmax(x))
    program = agree(load_tflite(builder.finish(), "net"), BASE, rng)
    names = [decode(int(word)).word.full_name for word in program.words]
    assert names.index("ARRAY.TABLE") < names.index("ARRAY.RUN")
    assert names.count("ARRAY.TABLE") == 4


def test_tables_of_softmax_are_loaded_behind_long_runs(rng, agree) -> None:
    builder = TfliteBuilder("net")
    x = builder.input((1, 12, 12, 16), 0.1, 3)
    for _ in range(3):
        weights = rng.integers(-127, 128, (16, 1, 1, 16))
        x = builder.conv2d(x, weights, None, weight_scale=0.01, out_scale=0.1, out_zp=0)
    x = builder.average_pool2d(x, 12, padding="VALID")
    builder.output(builder.softmax(builder.reshape(x, (1, 16))))
    program = agree(load_tflite(builder.finish(), "net"), BASE, rng)
    names = [decode(int(word)).word.name for word in program.words if decode(int(word)).word.unit == Unit.ARRAY]
    actions = "".join(name[0] for name in names if name in ("RUN", "TABLE"))
    # 144 positions hide the loading of a part, small blocks do not; what is left comes at the start.
    assert actions == "TTRRTRTR"
    tables = commands(program, "ARRAY.TABLE")
    assert sorted(table["part"] for table in tables) == [0, 1, 2, 3]
    assert all(table["wait"] == table["signal"] == 0 for table in tables)


def test_reads_end_with_the_tensor() -> None:
    # 17 channels take two tiles of 16: the vectors of the last pixel reach beyond it, but nothing there matters.
    shape = (1, 4, 4, 17)
    table = Lookup("table", "TANH", ("t0",), "t1", np.arange(-128, 128).astype(np.int8))
    tensors = {name: Tensor(name, shape) for name in ("t0", "t1")}
    graph = Graph("net", tensors, [table], [Port("t0", "t0", shape)], [Port("t1", "t1", shape)])
    waits = [run["wait"] for run in commands(compile_graph(graph, BASE), "OUTPUT.RUN")]
    assert waits == [0], "the table comes before the array's run"


def test_the_rest_of_the_weights_leaves_the_bus_to_a_large_input(rng, agree) -> None:
    graph = load_tflite(network(rng, (1, 64, 64, 3), [(3, 3, 8)] + [(1, 1, 8)] * 20 + [(1, 1, 200)]), "net")
    streams = commands(agree(graph, BASE, rng, races=False), "WEIGHT.RUN")
    assert [run["turn"] for run in streams] == [Turn.FIRST, Turn.LAST]
    assert streams[0]["bytes"] < streams[1]["bytes"]
