"""The line to a student's program believes nothing: kinds, sizes and times are looked at, and no trace goes over."""

import base64
import json
import os
import resource
import struct
import threading
import time
from decimal import Decimal
from fractions import Fraction

import pytest
import torch

from flowlib.classroom.room.values import DTYPES, Unsound, pack, unpack
from flowlib.classroom.room.wire import MOST_ENTRIES, Line, LineClosed, Raised, TookTooLong


def back(value):
    made = json.loads(json.dumps(pack(value, lambda function: {"$": "function", "handle": 3, "name": "f"})))
    return unpack(made, lambda handle, name: (handle, name))


VALUES = [
    None,
    True,
    3,
    2.5,
    "é",
    1 + 2j,
    [1, [2]],
    (1, (2,)),
    {"a": (1,)},
    Fraction(1, 3),
    Decimal("0.10"),
    Decimal("NaN"),
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_value_comes_back_as_it_was(value):
    assert str(back(value)) == str(value) and type(back(value)) is type(value)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (3, 0, 2)])
def test_a_tensor_comes_back_as_it_was(dtype, shape):
    value = (torch.arange(6 if shape == (2, 3) else 1) % 3)[: torch.Size(shape).numel()].reshape(shape).to(dtype)
    assert torch.equal(back(value), value) and back(value).dtype == dtype


def test_a_function_stays():
    assert back(print) == (3, "f")


def test_a_tensor_that_cannot_go_over_says_what_can():
    with pytest.raises(TypeError, match=r"a tensor of torch.float8_e5m2 cannot be handed over; .* x.float\(\)"):
        pack(torch.zeros(2, dtype=torch.float8_e5m2), print)


def tensor(dtype="float32", shape=(2,), of=8):
    text = base64.b64encode(bytes(of)).decode() if isinstance(of, int) else of
    return {"$": "tensor", "dtype": dtype, "shape": shape if not isinstance(shape, tuple) else list(shape), "of": text}


FORGED = [
    *(
        tensor(dtype=d)
        for d in ("quint8", "qint8", "quint4x2", "bits8", "load", "Tensor", "__loader__", None, 3, [], {})
    ),
    *(
        tensor(shape=s)
        for s in ([-1], [3], [2.0], ["2"], [True, 2], [[2]], None, "2", 2, {}, [2, 1 << 40, 0], [1] * 17)
    ),
    *(tensor(shape=s, of=0) for s in ([1 << 40], [1 << 20, 1 << 20], [1 << 31, 1 << 31, 0], [10**30], [-1, 0], [1])),
    *(tensor(of=o) for o in (7, 9, 0, None, [], "AAAAAAAAAA!=", "AAAAAAAAAAA", "\ud800" * 12, "é" * 12)),
    *({"$": "complex", "of": of} for of in (None, [1], [1, "2"], [1, [2]], [True, 1], "12", {"a": 1})),
    *({"$": "fraction", "of": of} for of in ([1, 0], [1.5, 2], ["1", 2], [1], None)),
    *({"$": "decimal", "of": of} for of in ("1e999999999", "1e-999999999", "x", None, 3, "1" * 10_000)),
    *({"$": "tuple", "of": of} for of in (None, 3, "abc", {"a": 1})),
    *({"$": "dict", "of": of} for of in (None, 3, [1])),
    *({"$": "function", "handle": h, "name": "f"} for h in (None, "1", 1.5, [], True)),
    {"$": "dataclass", "name": ["os", "system"], "of": {"command": "true"}},
    {"$": "dataclass", "name": ["flowlib.fields", "Grid"], "of": {"nothing": 1}},
    {"$": "dataclass", "name": 3, "of": {}},
    *({"$": kind} for kind in (None, 3, [], "set", "object", "\x1b")),
    {},
]


@pytest.mark.parametrize("forged", FORGED, ids=lambda one: json.dumps(one)[:60])
def test_what_pack_does_not_make_is_refused(forged):
    for value in (forged, [forged], {"$": "tuple", "of": [forged]}):
        with pytest.raises(Unsound) as said:
            unpack(value, lambda handle, name: None)
        assert len(str(said.value)) < 1000


def test_a_message_of_a_hundred_bytes_allocates_nothing():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for shape in ([1 << 28], [1 << 14, 1 << 14], [1 << 31]):
        with pytest.raises(Unsound):
            unpack(tensor("float64", shape, 0), print)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


def test_a_truth_value_is_true_or_false():
    assert unpack(tensor("bool", [3], base64.b64encode(b"\0\1\xff").decode()), print).tolist() == [False, True, True]


def test_depth_without_end_is_refused():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Unsound, match="RecursionError"):
        unpack(value, print)


# ------------------------------------------------------------------------------------------------ the line itself


@pytest.fixture
def line():
    """The grader's end, and the two files of who sits at the other one: (line, read, write)."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    yield Line(ours_in, ours_out, refuse, seconds=2.0), theirs_in, theirs_out
    for file in (theirs_in, ours_out, ours_in, theirs_out):
        try:
            os.close(file)
        except OSError:
            pass


def refuse(request):
    raise PermissionError(f"not {request['do']!r}")


def frame(message) -> bytes:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return struct.pack(">I", len(data)) + data


def read_message(file: int) -> dict:
    (length,) = struct.unpack(">I", os.read(file, 4))
    return json.loads(os.read(file, length))


def test_a_pipe_that_is_never_read_ends_with_the_time(line):
    began = time.monotonic()
    with pytest.raises(TookTooLong):
        line[0].ask({"do": "run", "source": "x" * 10_000_000})
    assert time.monotonic() - began < 20


def test_who_asks_and_never_reads_the_answers_ends_with_the_time(line):
    ours, _, write = line
    asked = frame({"do": "x" * 1900})
    writer = threading.Thread(target=flood, args=(write, asked), daemon=True)
    writer.start()
    with pytest.raises(TookTooLong):
        ours.ask({"do": "has", "name": "x"})
    os.close(ours.read)  # the writer's pipe breaks, and it ends
    writer.join(20)
    assert not writer.is_alive()


def flood(file: int, data: bytes) -> None:
    try:
        while True:
            os.write(file, data)
    except OSError:
        pass


def test_an_error_of_the_graders_goes_over_as_type_and_message(line):
    ours, read, write = line
    os.write(write, frame({"do": "attribute", "handle": 0, "name": "__globals__"}) + frame({"value": 1}))
    assert ours.ask({"do": "has", "name": "x"}) == 1
    assert read_message(read)["do"] == "has"
    assert read_message(read) == {"raised": ["PermissionError", "not 'attribute'", ""]}


SPOILT = [
    b"", b"\xff", b"null", b"3", b"[]", b"[" * 100_000, b'{"value": {"$": "tensor"}}', b'{"raised": 3}',
    b'{"raised": ["a"]}', b'{"raised": ["a", "b", 3]}', b'{"raised": {"a": 1, "b": 2, "c": 3}}', b"1" * 9000,
]  # fmt: skip


@pytest.mark.parametrize("message", SPOILT, ids=lambda one: ascii(one[:30]))
def test_what_is_no_message_closes_the_line(line, message):
    ours, _, write = line
    threading.Thread(target=os.write, args=(write, frame(message)), daemon=True).start()
    with pytest.raises(LineClosed) as said:
        ours.ask({"do": "has", "name": "x"})
    assert len(str(said.value)) < 500


def test_an_error_without_end_is_cut(line):
    ours, _, write = line
    os.write(write, frame({"raised": ["k" * 9000, "m" * 9000, "t" * 9000]}))
    with pytest.raises(Raised) as said:
        ours.ask({"do": "has", "name": "x"})
    assert (len(said.value.kind), len(said.value.message), len(said.value.trace)) == (100, 2000, 4000)


def test_a_list_without_end_is_refused_before_it_is_made(line):
    ours, _, write = line
    many = frame(b'{"value": [' + b"0," * (2 * MOST_ENTRIES) + b"0]}")
    threading.Thread(target=flood_once, args=(write, many), daemon=True).start()
    with pytest.raises(LineClosed, match="more than 1000000 entries"):
        ours.ask({"do": "get", "name": "x"})


def flood_once(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def test_a_length_beyond_the_limit_is_refused_before_it_is_read(line):
    ours, _, write = line
    os.write(write, struct.pack(">I", (1 << 32) - 1))
    with pytest.raises(LineClosed):
        ours.ask({"do": "has", "name": "x"})


@pytest.mark.parametrize("value", ["x" * (70 << 20), [0] * (MOST_ENTRIES + 2)], ids=["text", "list"])
def test_what_is_too_large_to_go_over_is_told_as_an_error(line, value):
    ours, read, write = line
    theirs = Line(read, write, lambda request: value, attributes=True)
    listener = threading.Thread(target=theirs.listen, daemon=True)
    listener.start()
    with pytest.raises(Raised, match="handed over"):
        ours.ask({"do": "get", "name": "x"}, seconds=60.0)
    os.close(ours.write)  # it hangs up
    listener.join(20)
