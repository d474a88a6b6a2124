"""Reads the graph of an .onnx file, and declares its inner tensors as outputs, on the bytes of the
file alone.

An .onnx file is one protobuf message. Of a message that comes in two pieces, one behind the other,
protobuf merges the pieces: an appended graph that holds nothing but outputs adds them to the graph
that is there. So neither the `onnx` package nor a new export is needed, and what runs is the very
network that is scanned with. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mesovid.errors import ModelError

Array = npt.NDArray[Any]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
# TensorProto.DataType
_TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}
_DATA = {4: "<f4", 10: "<f8"}  # float_data, double_data; 5 and 7 hold varints


@dataclass(frozen=True, slots=True)
class Node:
    """One operation."""

    kind: str  # ONNX operator, such as Conv
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]  # empty where an optional one is left out
    attributes: dict[str, Any]  # numbers, bytes, and lists of integers or floats


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """What a network computes. Nodes come in an order in which they can be run."""

    nodes: tuple[Node, ...]
    constants: dict[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(content: bytes) -> Graph:
    """The graph of an .onnx file's bytes. ModelError when they are none."""
    try:
        graphs = [value for number, value in _fields(content) if number == 7]
        nodes: list[Node] = []
        constants: dict[str, Array] = {}
        inputs: list[str] = []
        outputs: list[str] = []
        for graph in graphs:
            for number, value in _fields(graph):
                if number == 1:
                    nodes.append(_node(value))
                elif number == 5:
                    name, array = _tensor(value)
                    constants[name] = array
                elif number in (11, 12):
                    (inputs if number == 11 else outputs).append(_text(value, 1))
    except (IndexError, KeyError, ValueError, TypeError, struct.error) as error:
        raise ModelError(f"not the graph of an .onnx file that can be read ({error})") from error
    if not nodes:
        raise ModelError("not an .onnx file: there is no graph in it")
    for node in nodes:  # other exporters write constants as operators
        if node.kind == "Constant" and isinstance(node.attributes.get("value"), np.ndarray):
            constants[node.outputs[0]] = node.attributes["value"]
    nodes = [node for node in nodes if node.outputs[0] not in constants]
    inputs = [name for name in inputs if name not in constants]  # old files name weights there, too
    return Graph(tuple(nodes), constants, tuple(inputs), tuple(outputs))


def with_outputs(content: bytes, names: Sequence[str]) -> bytes:
    """The same network with these inner tensors as further outputs, in this order."""
    outputs = b"".join(_message(12, _message(1, name.encode())) for name in names)
    return content + _message(7, outputs)


def _node(content: bytes) -> Node:
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[str, Any] = {}
    kind = ""
    for number, value in _fields(content):
        if number == 1:
            inputs.append(value.decode())
        elif number == 2:
            outputs.append(value.decode())
        elif number == 4:
            kind = value.decode()
        elif number == 5:
            name, attribute = _attribute(value)
            attributes[name] = attribute
    return Node(kind, tuple(inputs), tuple(outputs), attributes)


def _attribute(content: bytes) -> tuple[str, Any]:
    name, single, many = "", None, []
    for number, value in _fields(content):
        if number == 1:
            name = value.decode()
        elif number == 2:
            single = struct.unpack("<f", value)[0]
        elif number == 3:
            single = _signed(value)
        elif number == 4:
            single = value
        elif number == 5:
            single = _tensor(value)[1]
        elif number == 7:
            many += list(np.frombuffer(value, "<f4").astype(float))
        elif number == 8:
            many += _integers(value)
    return name, many or single


def _tensor(content: bytes) -> tuple[str, Array]:
    name, shape, kind, raw, values = "", [], 1, b"", []
    for number, value in _fields(content):
        if number == 1:
            shape += _integers(value)
        elif number == 2:
            kind = value
        elif number in _DATA:
            raw += np.frombuffer(value, _DATA[number]).astype(_TYPES[kind]).tobytes()
        elif number in (5, 7):
            values += _integers(value)
        elif number == 8:
            name = value.decode()
        elif number == 9:
            raw = value
    array = np.array(values, _TYPES[kind]) if values else np.frombuffer(raw, _TYPES[kind])
    return name, array.reshape(shape)


def _text(content: bytes, field: int) -> str:
    return next(str(value, "utf-8") for number, value in _fields(content) if number == field)


def _integers(value: int | bytes) -> list[int]:
    """One integer, or several that are packed."""
    if isinstance(value, int):
        return [_signed(value)]
    found, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        found.append(_signed(number))
    return found


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a message: an integer where it is a varint, else bytes."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = _varint(content, place)
            yield number, value
            continue
        if wire == _BYTES:
            size, place = _varint(content, place)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {place}")
        if place + size > len(content):
            raise ValueError(f"cut short at byte {place}")
        yield number, content[place : place + size]
        place += size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and the place behind it."""
    value = shift = 0
    while True:
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if not byte & 128:
            return value, place
        shift += 7


def _message(field: int, content: bytes) -> bytes:
    size, length = len(content), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return bytes([field << 3 | _BYTES]) + bytes(length) + content
