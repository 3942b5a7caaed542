"""Python values as the bytes of a request: vectors, payloads, points."""

from __future__ import annotations

import base64
import binascii
import datetime
import enum
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from ._errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Numbers at some places of a vector that is zero elsewhere."""

    indices: Sequence[int] | npt.NDArray[Any]
    """Places, none twice."""
    values: Sequence[float] | npt.NDArray[Any]
    """Numbers, as many as places."""


DenseVector: TypeAlias = Union[Sequence[float], npt.NDArray[Any]]
"""A list of numbers, or a one-dimensional numpy array; sent as 32-bit floats."""
FieldVector: TypeAlias = Union[DenseVector, SparseVector, Sequence[Sequence[float]]]
"""What one vector field holds: a dense vector, a sparse one, or a list (or two-dimensional array) of vectors."""
Vector: TypeAlias = Union[FieldVector, Mapping[str, FieldVector]]
"""A vector, or vectors by the name of their field."""
Filter: TypeAlias = Mapping[str, Any]
"""A filter in the filter language, such as ``{"section": "libs", "size": {"$gte": 100}}``."""
PointId: TypeAlias = Union[str, int]
"""An id: text of 1 to 512 bytes of UTF-8; an integer means its decimal text."""


def _other(value: Any) -> Any:
    """Values that JSON has no spelling of, as those that mean the same."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise InvalidArgument(f"the time {value} has no time zone; give it one, such as timezone.utc")
        return value.isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    raise InvalidArgument(f"a value of type {type(value).__name__} cannot be sent as JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_other)


def to_json(value: Any) -> bytes:
    """A value as JSON."""
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except InvalidArgument:
        raise
    except UnicodeEncodeError:
        raise InvalidArgument("a text holds half of a character, which is not valid UTF-8") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidArgument(f"cannot be sent as JSON: {error}") from None


def object_start(fields: Mapping[str, Any]) -> bytes:
    """An object without its end, so that more can be put into it; members that are None are left out."""
    return to_json({name: value for name, value in fields.items() if value is not None})[:-1]


def object_end(start: bytes, fields: Mapping[str, Any]) -> bytes:
    """The object with a few more members."""
    more = to_json(fields)
    if len(more) == 2:
        return start + b"}"
    return start + (more[1:] if start.endswith(b"{") else b"," + more[1:])


def as_f32(vector: Any, dimensions: int = 1) -> npt.NDArray[np.float32]:
    """A vector as 32-bit floats, little-endian and in one piece."""
    if type(vector) is np.ndarray and vector.dtype == "<f4" and vector.ndim == dimensions:
        return vector if vector.flags.c_contiguous else np.ascontiguousarray(vector)
    try:
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(vector, dtype="<f4")
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"the vector is not a list of numbers: {error}") from None
    if array.ndim != dimensions:
        # numpy makes a bare number a list of one, which nobody means.
        raise InvalidArgument(f"the vector has {array.ndim} dimensions where {dimensions} are expected")
    return array


def to_b64(vector: npt.NDArray[np.float32]) -> str:
    """The bytes of a vector as base64."""
    return binascii.b2a_base64(vector.data, newline=False).decode("ascii")


def from_b64(text: str) -> npt.NDArray[np.float32]:
    """A vector out of base64."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


def vector_members(vector: Any, plain: bool) -> dict[str, Any]:
    """The members ``vector`` and ``vector_b64`` of a point or a search. Dense vectors travel packed unless ``plain``;
    sparse ones and lists of vectors have no packed spelling."""
    if type(vector) is np.ndarray and vector.ndim == 1 and not plain:
        return {"vector_b64": to_b64(as_f32(vector))}
    if not isinstance(vector, Mapping):
        spelled = _spelled(vector, plain)
        return {"vector_b64" if isinstance(spelled, str) else "vector": spelled}
    if set(vector) == {"indices", "values"}:
        return {"vector": _sparse(SparseVector(vector["indices"], vector["values"]))}
    # One object holds them all: packed when each of them can be.
    packed = {name: _spelled(part, plain) for name, part in vector.items()}
    if packed and all(isinstance(part, str) for part in packed.values()):
        return {"vector_b64": packed}
    return {"vector": {name: _spelled(part, True) for name, part in vector.items()}}


def _spelled(vector: Any, plain: bool) -> Any:
    """One field's vector: base64 text, a list, a list of lists, or an object of indices and values."""
    if isinstance(vector, SparseVector):
        return _sparse(vector)
    if isinstance(vector, Mapping) and set(vector) == {"indices", "values"}:
        return _sparse(SparseVector(vector["indices"], vector["values"]))
    if vector is None or isinstance(vector, (str, bytes, Mapping)):
        raise InvalidArgument(f"a vector is a list of numbers, not {type(vector).__name__}")
    first: Any = vector[0] if len(vector) else 0.0
    if isinstance(vector, np.ndarray) and vector.ndim == 2:
        return _listed(as_f32(vector, 2))
    if isinstance(first, (list, tuple)) or (isinstance(first, np.ndarray) and first.ndim == 1):
        return _listed(as_f32(vector, 2))
    numbers = as_f32(vector)
    return _listed(numbers) if plain else to_b64(numbers)


def _listed(array: npt.NDArray[np.float32]) -> list[Any]:
    if not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[0].tolist()
        raise InvalidArgument(f"the vector's number {where} is not a finite 32-bit float")
    return array.tolist()


def _sparse(vector: SparseVector) -> dict[str, Any]:
    indices = np.asarray(vector.indices)
    values = as_f32(vector.values)
    if indices.shape != values.shape:
        raise InvalidArgument(f"a sparse vector has {indices.size} indices and {values.size} values")
    if indices.size and indices.dtype.kind not in "iu":
        raise InvalidArgument("the indices of a sparse vector are whole numbers")
    return {"indices": indices.tolist(), "values": _listed(values)}


def checked_id(value: Any) -> str:
    """An id as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, float)) or value is None:
        raise InvalidArgument(f"an id is text or an integer, not {value!r}")
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, uuid.UUID):
        return str(value)
    raise InvalidArgument(f"an id is text or an integer, not {type(value).__name__}")


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, at least one."""
    if not math.isfinite(seconds) or seconds <= 0:
        raise InvalidArgument(f"a time of {seconds} seconds is not more than nothing")
    return max(1, round(seconds * 1000))
