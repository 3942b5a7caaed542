"""Tables in and out, by the Arrow interface. pyarrow is needed when one of these is called, and not before."""

from __future__ import annotations

import binascii
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._encode import SparseVector, checked_id, to_json, vector_members
from ._errors import InvalidArgument
from ._points import Row, _bad

if TYPE_CHECKING:
    import pandas
    import pyarrow

_PIECE_ROWS = 2048


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError("tables need pyarrow: pip install 'vectron[arrow]'") from error
    return pyarrow


def _batches(table: Any) -> Iterator[Any]:
    """The pieces of a table, as Arrow record batches."""
    pa = _pyarrow()
    if isinstance(table, pa.RecordBatch):
        yield table
        return
    if isinstance(table, pa.Table):
        yield from table.to_batches(max_chunksize=_PIECE_ROWS)
        return
    if hasattr(table, "__arrow_c_stream__"):
        yield from pa.RecordBatchReader.from_stream(table)
        return
    if hasattr(table, "to_arrow"):
        yield from table.to_arrow().to_batches(max_chunksize=_PIECE_ROWS)
        return
    if type(table).__module__.split(".")[0] == "pandas":
        yield from pa.Table.from_pandas(table, preserve_index=False).to_batches(max_chunksize=_PIECE_ROWS)
        return
    raise InvalidArgument(f"a {type(table).__name__} is no table with the Arrow interface")


def rows_of_table(
    table: Any, ident: str, vector: str | Sequence[str], payload: str | Sequence[str] | None, plain: bool
) -> Iterator[Row]:
    """Rows of anything with the Arrow interface."""
    return _rows(_batches(table), ident, vector, payload, plain)


def rows_of_parquet(
    path: str | os.PathLike[str],
    ident: str,
    vector: str | Sequence[str],
    payload: str | Sequence[str] | None,
    plain: bool,
) -> tuple[Iterator[Row], int]:
    """Rows of a Parquet file, and how many there are."""
    _pyarrow()
    from pyarrow import parquet

    file: Any = parquet.ParquetFile(os.fspath(path))
    names: Any = file.schema_arrow.names
    vectors = [vector] if isinstance(vector, str) else list(vector)
    _check_columns(names, ident, vectors, payload)
    columns = None
    if payload is not None:
        columns = [ident, *vectors, *([payload] if isinstance(payload, str) else payload)]
    batches = file.iter_batches(batch_size=_PIECE_ROWS, columns=columns)
    return _rows(batches, ident, vector, payload, plain), int(file.metadata.num_rows)


def _check_columns(
    names: Sequence[str], ident: str, vectors: Sequence[str], payload: str | Sequence[str] | None
) -> None:
    wanted = [ident, *vectors]
    if payload is not None:
        wanted += [payload] if isinstance(payload, str) else list(payload)
    for column in wanted:
        if column not in names:
            raise InvalidArgument(f"the table has no column '{column}'; it has {', '.join(names)}")


def _rows(
    batches: Iterable[Any],
    ident: str,
    vector: str | Sequence[str],
    payload: str | Sequence[str] | None,
    plain: bool,
) -> Iterator[Row]:
    vectors = [vector] if isinstance(vector, str) else list(vector)
    number = 0
    for batch in batches:
        names: list[str] = batch.schema.names
        _check_columns(names, ident, vectors, payload)
        ids = batch.column(names.index(ident)).to_pylist()
        fields = {name: _vectors(batch.column(names.index(name))) for name in vectors}
        payloads = _payloads(batch, names, ident, vectors, payload)
        for place, one in enumerate(ids):
            try:
                yield _row(
                    number,
                    checked_id(one),
                    fields,
                    place,
                    payloads[place],
                    plain,
                    not isinstance(vector, str),
                )
            except InvalidArgument as error:
                yield _bad(number, one, error)
            number += 1


def _row(number: int, ident: str, fields: dict[str, Any], place: int, payload: Any, plain: bool, named: bool) -> Row:
    if named:
        given = {name: column[place] for name, column in fields.items() if column[place] is not None}
        members = vector_members(given, plain) if given else {}
    else:
        numbers = next(iter(fields.values()))[place]
        if numbers is None:
            raise InvalidArgument("the vector is null")
        if not plain and type(numbers) is np.ndarray and numbers.dtype == np.float32 and isinstance(payload, bytes):
            packed = binascii.b2a_base64(numbers.data, newline=False)
            return Row(number, ident, b'{"id":%b,"vector_b64":"%b","payload":%b}' % (to_json(ident), packed, payload))
        members = vector_members(numbers, plain)
    text = to_json({"id": ident, **members})
    if payload is not None:
        text = text[:-1] + b',"payload":%b}' % (payload if isinstance(payload, bytes) else to_json(payload))
    return Row(number, ident, text)


def _vectors(column: Any) -> Any:
    """The rows of a vector column: one matrix when they are all of a length, else one by one."""
    pa = _pyarrow()
    kind = column.type
    size: int | None = None
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or size is not None:
        inner = kind.value_type
        if pa.types.is_floating(inner) and not column.null_count:
            values = column.flatten()
            if size is None and len(column) and len(values) % len(column) == 0:
                lengths = column.value_lengths().to_numpy(zero_copy_only=False)
                size = int(lengths[0]) if (lengths == lengths[0]).all() else None
            if size and not values.null_count:
                numbers = values.to_numpy(zero_copy_only=False)
                return np.ascontiguousarray(numbers, dtype="<f4").reshape(-1, size)
    return column.to_pylist()


def _payloads(
    batch: Any, names: list[str], ident: str, vectors: Sequence[str], payload: str | Sequence[str] | None
) -> list[Any]:
    """Each row's payload: a dict without nulls, JSON text as bytes, or None."""
    if isinstance(payload, str):
        return [_given(value) for value in batch.column(names.index(payload)).to_pylist()]
    chosen = list(payload) if payload is not None else [name for name in names if name != ident and name not in vectors]
    if not chosen:
        return [None] * batch.num_rows
    columns = [batch.column(names.index(name)).to_pylist() for name in chosen]
    return [
        to_json({name: value for name, value in zip(chosen, row, strict=True) if value is not None and value == value})
        for row in zip(*columns, strict=True)
    ]


def _given(value: Any) -> Any:
    """A payload from a column: an object, or its JSON text."""
    if value is None:
        return None
    if isinstance(value, (str, bytes)):
        import json

        try:
            value = json.loads(value)
        except ValueError as error:
            raise InvalidArgument(f"the payload is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidArgument("a payload is an object")
    return to_json({name: one for name, one in value.items() if one is not None})


def columns_of(points: Sequence[Any]) -> dict[str, list[Any]]:
    """Points as columns: id, score, version, vector where they are there, then payload fields."""
    columns: dict[str, list[Any]] = {"id": [point.id for point in points]}
    if points and hasattr(points[0], "score"):
        columns["score"] = [point.score for point in points]
    columns["version"] = [point.version for point in points]
    if any(point.vector is not None for point in points):
        columns["vector"] = [_out(point.vector) for point in points]
    fields = dict.fromkeys(name for point in points for name in point.payload or ())
    for name in fields:
        title = f"payload.{name}" if name in ("id", "score", "version", "vector") else name
        columns[title] = [(point.payload or {}).get(name) for point in points]
    return columns


def _out(vector: Any) -> Any:
    if isinstance(vector, dict):
        return {name: _out(part) for name, part in vector.items()}
    if isinstance(vector, SparseVector):
        return {"indices": np.asarray(vector.indices).tolist(), "values": np.asarray(vector.values).tolist()}
    return None if vector is None else vector.tolist()


def to_arrow(points: Sequence[Any]) -> pyarrow.Table:
    """Points as an Arrow table. Fields whose values have no common type become their JSON text."""
    pa = _pyarrow()
    arrays: dict[str, Any] = {}
    for name, values in columns_of(points).items():
        try:
            arrays[name] = pa.array(values, type=pa.list_(pa.float32()) if _dense(name, values) else None)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            arrays[name] = pa.array([None if one is None else to_json(one).decode("utf-8") for one in values])
    return pa.table(arrays)


def _dense(name: str, values: list[Any]) -> bool:
    return name == "vector" and all(isinstance(one, list) and not (one and isinstance(one[0], list)) for one in values)


def to_pandas(points: Sequence[Any]) -> pandas.DataFrame:
    """Points as a dataframe."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("dataframes need pandas: pip install 'vectron[pandas]'") from error
    columns = columns_of(points)
    if "vector" in columns:
        columns["vector"] = [point.vector for point in points]
    return pd.DataFrame(columns)
