"""What the standard suites do not ask: retrievers, filters over lists and times, limits, pipelines as text."""

from __future__ import annotations

import asyncio
import copy
import dataclasses

import pytest
from haystack import Pipeline
from haystack.dataclasses import ByteStream, Document
from haystack.document_stores.errors import DocumentStoreError, DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.utils import Secret

from haystack_integrations.components.retrievers.vectron import VectronBM25Retriever, VectronEmbeddingRetriever
from haystack_integrations.document_stores.vectron import VectronDocumentStore
from vectron import InvalidArgument


@pytest.fixture
def store(one_node, collection) -> VectronDocumentStore:
    store = VectronDocumentStore(collection, url=one_node.url, dimension=2, text_language="english")
    documents = [
        Document(id="e", content="eastern libraries", meta={"n": 1, "tags": ["a", "b"]}, embedding=[1.0, 0.0]),
        Document(id="n", content="northern lights", meta={"n": 2, "tags": ["b"]}, embedding=[0.0, 1.0]),
        Document(id="none", content="a library without direction", meta={"n": 3}),
    ]
    store.write_documents(documents)
    return store


def ids(documents: list[Document]) -> list[str]:
    return [one.id for one in documents]


def test_only_embedded_documents_are_near(store):
    # The stand-in of a document without an embedding points east as well.
    found = store.embedding_retrieval([1.0, 0.1], top_k=10)
    assert ids(found) == ["e", "n"]
    assert found[0].embedding is None
    assert found[0].score == pytest.approx(0.995, abs=0.001)
    only = {"field": "meta.n", "operator": ">", "value": 1}
    found = store.embedding_retrieval([1.0, 0.1], filters=only, return_embedding=True)
    assert (ids(found), found[0].embedding) == (["n"], [0.0, 1.0])
    assert store.filter_documents({"field": "id", "operator": "==", "value": "none"})[0].embedding is None
    assert store.embedding_retrieval([1.0, 0.1], top_k=0) == []


def test_retrievers_in_a_pipeline_that_was_written_down(store):
    pipeline = Pipeline()
    pipeline.add_component("near", VectronEmbeddingRetriever(store, top_k=1))
    pipeline.add_component("words", VectronBM25Retriever(store, filters={"field": "n", "operator": ">", "value": 1}))
    again = Pipeline.loads(pipeline.dumps())
    found = again.run({"near": {"query_embedding": [0.0, 1.0]}, "words": {"query": "Library?"}})
    assert ids(found["near"]["documents"]) == ["n"]
    assert ids(found["words"]["documents"]) == ["none"]
    words, near = VectronBM25Retriever(store), VectronEmbeddingRetriever(store)
    assert set(ids(asyncio.run(words.run_async(query="library"))["documents"])) == {"e", "none"}
    assert ids(asyncio.run(near.run_async(query_embedding=[1.0, 0.0], top_k=1))["documents"]) == ["e"]
    assert words.run(query="?!") == {"documents": []}
    with pytest.raises(ValueError, match="top_k"):
        VectronEmbeddingRetriever(store, top_k=0)
    with pytest.raises(TypeError, match="VectronDocumentStore"):
        VectronEmbeddingRetriever(object())  # type: ignore[arg-type]


def test_a_key_is_not_written_down(monkeypatch):
    monkeypatch.setenv("A_KEY", "a-secret-of-sixteen")
    store = VectronDocumentStore("c", url="http://127.0.0.1:1", key=Secret.from_env_var("A_KEY"), dimension=3)
    written = store.to_dict()
    assert "a-secret-of-sixteen" not in str(written)
    again = VectronDocumentStore.from_dict(copy.deepcopy(written))
    assert again.key.resolve_value() == "a-secret-of-sixteen"
    assert (again.dimension, again.to_dict()) == (3, written)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"field": "meta.tags", "operator": "==", "value": "b"}, ["e", "n"]),
        ({"field": "meta.tags", "operator": "in", "value": ["a", None]}, ["e", "none"]),
        ({"field": "meta.tags", "operator": "not in", "value": ["a", None]}, ["n"]),
        ({"field": "content", "operator": "==", "value": "northern lights"}, ["n"]),
        ({"field": "id", "operator": "in", "value": ["n", "x"]}, ["n"]),
        ({"field": "n", "operator": ">=", "value": 2}, ["n", "none"]),
        ({"operator": "NOT", "conditions": [{"field": "meta.n", "operator": "<", "value": 3}]}, ["none"]),
    ],
)
def test_filters(store, filters, expected):
    assert ids(store.filter_documents(filters)) == expected
    assert store.count_documents_by_filter(filters) == len(expected)


@pytest.mark.parametrize(
    "filters",
    [
        {"field": "meta.tags", "operator": "==", "value": ["a"]},
        {"field": "meta.n", "operator": "~", "value": 1},
        {"field": "meta.n", "operator": ">", "value": True},
        {"operator": "XOR", "conditions": [{"field": "meta.n", "operator": "==", "value": 1}]},
        {"operator": "AND", "conditions": []},
        {"operator": "AND", "conditions": ["meta.n"]},
    ],
)
def test_filters_that_nobody_can_decide(store, filters):
    with pytest.raises(FilterError):
        store.filter_documents(filters)


def test_what_is_worked_out_here_is_bounded(one_node, collection):
    store = VectronDocumentStore(collection, url=one_node.url, dimension=2, scan_limit=3)
    store.write_documents([Document(id=str(number), meta={"n": number}) for number in range(3)])
    assert store.get_metadata_field_unique_values("n", size=None) == ([0, 1, 2], 3)
    store.write_documents([Document(id="3", meta={"n": 3})])
    for call in (
        lambda: store.get_metadata_field_unique_values("n"),
        lambda: store.get_metadata_field_min_max("n"),
        lambda: store.count_unique_metadata_by_filter({}, ["n"]),
        store.get_metadata_fields_info,
    ):
        with pytest.raises(DocumentStoreError, match="scan_limit"):
            call()
    assert len(store.filter_documents()) == 4, "documents that are asked for are not bounded"


def test_policies_among_many(store):
    three = [Document(id=one, content="new") for one in ("e", "m", "z")]
    with pytest.raises(DuplicateDocumentError, match="1 of 3 documents are there already, 'e'"):
        store.write_documents(three)
    assert ids(store.filter_documents({"field": "content", "operator": "==", "value": "new"})) == ["m", "z"]
    assert store.write_documents([*three, Document(id="zz")], DuplicatePolicy.SKIP) == 1
    assert store.write_documents(three, DuplicatePolicy.OVERWRITE) == 3
    with pytest.raises(InvalidArgument):
        store.write_documents([Document(id="wide", embedding=[1.0, 2.0, 3.0])])


def test_all_parts_of_a_document_come_back(store):
    blob = ByteStream(b"\x00\xff", meta={"of": "a file"}, mime_type="image/png")
    document = Document(id="b", content="with a blob", blob=blob, meta={"deep": {"x": [1, None]}}, embedding=[0.6, 0.8])
    store.write_documents([document])
    found = store.filter_documents({"field": "id", "operator": "==", "value": "b"})[0]
    assert found.embedding == pytest.approx([0.6, 0.8])
    assert dataclasses.replace(found, embedding=document.embedding) == document


def test_updates_merge(store):
    only = {"field": "meta.n", "operator": "==", "value": 1}
    assert store.update_by_filter(only, {"tags": None, "more": {"x": 1}}) == 1
    assert store.update_by_filter(only, {"more": {"y": 2}}) == 1
    assert store.filter_documents(only)[0].meta == {"n": 1, "more": {"x": 1, "y": 2}}
