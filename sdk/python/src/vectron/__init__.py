"""The client of Vectron, a vector database that says what it promises.

>>> from vectron import Client
>>> client = Client("http://127.0.0.1:8080")
>>> client.create_collection("docs", dimension=3, distance="cosine")
>>> client.upsert("docs", [("a", [1, 0, 0], {"color": "red"}), ("b", [0, 1, 0], {"color": "blue"})])
>>> for hit in client.search("docs", [1, 0.2, 0], top_k=1, filter={"color": "red"}):
...     print(hit.id, hit.score)
"""

from typing import TYPE_CHECKING, Any

from ._bulk import PointFailure, Progress, UpsertResult
from ._catalog import Alias
from ._client import Client
from ._collections import Collection, CollectionStatus, Created, IndexSettings, PayloadIndex, ShardStatus
from ._encode import DenseVector, FieldVector, Filter, PointId, SparseVector, Vector
from ._errors import (
    AccessError,
    AlreadyExists,
    Conflict,
    DeadlineExceeded,
    DimensionMismatch,
    DiskFull,
    FieldError,
    Forbidden,
    IdempotencyKeyReused,
    InternalError,
    InvalidArgument,
    LimitError,
    NotFound,
    NotNow,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    RequestError,
    StalenessUnmet,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsafeOperation,
    VectronError,
    VersionMismatch,
)
from ._explain import Explain, WhyNot
from ._facts import FacetAnswer, FacetValue
from ._models import (
    Consistency,
    DeleteAnswer,
    Hit,
    Meta,
    Page,
    Point,
    PointsAnswer,
    SearchAnswer,
    SearchEvent,
    ShardFailure,
    Shards,
    VectorOut,
)
from ._pair import Ask, ClientPair
from ._points import PointInput, Points
from ._retry import Hedge, RetryPolicy
from ._wire import VERSION
from ._written import BatchAnswer, ItemFailure, OperationResult, PayloadAnswer

if TYPE_CHECKING:
    from ._aio_client import AsyncClient

__version__: str = VERSION


def __getattr__(name: str) -> Any:
    """Loads the asyncio client when somebody asks for it: asyncio takes longer to import than all the rest."""
    if name == "AsyncClient":
        from ._aio_client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AccessError",
    "Alias",
    "AlreadyExists",
    "Ask",
    "AsyncClient",
    "BatchAnswer",
    "Client",
    "ClientPair",
    "Collection",
    "CollectionStatus",
    "Conflict",
    "Consistency",
    "Created",
    "DeadlineExceeded",
    "DeleteAnswer",
    "DenseVector",
    "DimensionMismatch",
    "DiskFull",
    "Explain",
    "FacetAnswer",
    "FacetValue",
    "FieldError",
    "FieldVector",
    "Filter",
    "Forbidden",
    "Hedge",
    "Hit",
    "IdempotencyKeyReused",
    "IndexSettings",
    "InternalError",
    "InvalidArgument",
    "ItemFailure",
    "LimitError",
    "Meta",
    "NotFound",
    "NotNow",
    "OperationResult",
    "OutcomeUnknown",
    "Overloaded",
    "Page",
    "PayloadAnswer",
    "PayloadIndex",
    "Point",
    "PointFailure",
    "PointId",
    "PointInput",
    "Points",
    "PointsAnswer",
    "Progress",
    "RateLimited",
    "RequestError",
    "RetryPolicy",
    "SearchAnswer",
    "SearchEvent",
    "ShardFailure",
    "ShardStatus",
    "Shards",
    "SparseVector",
    "StalenessUnmet",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "UnsafeOperation",
    "UpsertResult",
    "Vector",
    "VectorOut",
    "VectronError",
    "VersionMismatch",
    "WhyNot",
    "__version__",
]
