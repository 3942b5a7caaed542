"""The contract of LlamaIndex's vector stores, and retrieval through an index, with blocking and asyncio calls, on one
node and on three."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import ImageNode, IndexNode, Node, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.vector_stores.vectron import VectronVectorStore

Op = FilterOperator


class Blocking:
    """Calls by their blocking names."""

    def __init__(self, store: VectronVectorStore) -> None:
        self.store = store

    def __getattr__(self, name: str):
        return getattr(self.store, name)


class Awaited(Blocking):
    """The same names, awaited, each in an event loop of its own."""

    def __getattr__(self, name: str):
        method = getattr(self.store, "async_add" if name == "add" else f"a{name}")
        return lambda *arguments, **options: asyncio.run(method(*arguments, **options))


@pytest.fixture(params=["one_node", "three_nodes"])
def raw(request):
    server = request.getfixturevalue(request.param)
    name = request.getfixturevalue("collection" if request.param == "one_node" else "emptied")
    # The vectors here have two numbers, those of the last test 26.
    name += "-letters" if "end_to_end" in request.node.name else ""
    settings = {"collection_settings": server.settings, "text_language": "english"}
    return VectronVectorStore(name, url=server.url, **settings)


@pytest.fixture(params=[Blocking, Awaited])
def store(request, one_node, collection):
    return request.param(VectronVectorStore(collection, url=one_node.url, text_language="english"))


def nodes() -> list[TextNode]:
    angles = {"east": [1.0, 0.0], "nearly": [0.99, 0.14], "north": [0.0, 1.0], "west": [-1.0, 0.1]}
    made = []
    for number, (name, vector) in enumerate(angles.items()):
        source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"doc{number // 2}")}
        metadata = {"n": number, "name": name, "tags": ["a", "b"][: number % 3], "about": f"The {name} Wind"}
        made.append(
            TextNode(id_=name, text=f"text of {name}", embedding=vector, metadata=metadata, relationships=source)
        )
    made[3].metadata.pop("n")
    return made


def query(store, **options):
    given = {"query_embedding": [1.0, 0.0], "similarity_top_k": 4, **options}
    return store.query(VectorStoreQuery(**given))


def test_nodes_come_back_as_they_were(store):
    written = nodes()
    assert store.add(written) == ["east", "nearly", "north", "west"]
    assert store.add([]) == []
    found = query(store)
    assert found.ids == ["east", "nearly", "north", "west"]
    assert found.similarities == pytest.approx([1.0, 0.990, 0.0, -0.995], abs=0.001)
    for node, wanted in zip(found.nodes, written, strict=True):
        wanted.embedding = None
        assert node == wanted
        assert node.ref_doc_id == wanted.ref_doc_id


def test_other_kinds_of_nodes(store):
    written = [
        IndexNode(id_="i", text="an index", index_id="other", embedding=[1.0, 0.0]),
        ImageNode(id_="p", text="a picture", image_url="http://example.org/p.png", embedding=[0.9, 0.1]),
        Node(id_="q", text_resource={"text": "a node"}, embedding=[0.8, 0.2]),
    ]
    store.add(written)
    found = query(store).nodes
    assert [type(node) for node in found] == [IndexNode, ImageNode, Node]
    assert [node.get_content() for node in found] == ["an index", "a picture", "a node"]
    assert (found[0].index_id, found[1].image_url) == ("other", "http://example.org/p.png")


def test_writing_again_replaces(store):
    store.add(nodes())
    store.add([TextNode(id_="east", text="moved", embedding=[0.0, 1.0])])
    assert store.get_nodes(["east"])[0].get_content() == "moved"
    assert len(store.get_nodes()) == 4


def test_before_the_first_write_there_is_nothing(store):
    assert query(store).ids == []
    assert store.get_nodes() == []
    store.delete("doc0")
    store.clear()


def filters(*tests, condition=FilterCondition.AND) -> MetadataFilters:
    made = [
        MetadataFilter(key=one[0], operator=one[1], value=one[2]) if isinstance(one, tuple) else one for one in tests
    ]
    return MetadataFilters(filters=made, condition=condition)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (filters(("n", Op.EQ, 1)), ["nearly"]),
        (filters(("n", Op.NE, 1)), ["east", "north", "west"]),
        (filters(("n", Op.GT, 0), ("n", Op.LTE, 2)), ["nearly", "north"]),
        (filters(("n", Op.LT, 1), ("n", Op.GTE, 2), condition=FilterCondition.OR), ["east", "north"]),
        (filters(("n", Op.EQ, 0), ("n", Op.EQ, 1), condition=FilterCondition.NOT), ["north", "west"]),
        (filters(("name", Op.IN, ["west", "east"])), ["east", "west"]),
        (filters(("name", Op.NIN, ["west", "east"])), ["nearly", "north"]),
        (filters(("tags", Op.CONTAINS, "b")), ["north"]),
        (filters(("tags", Op.ANY, ["a", "x"])), ["nearly", "north"]),
        (filters(("tags", Op.ALL, ["a", "b"])), ["north"]),
        (filters(("tags", Op.IS_EMPTY, None)), ["east", "west"]),
        (filters(("n", Op.IS_EMPTY, None)), ["west"]),
        (filters(("about", Op.TEXT_MATCH, "north wind")), ["north"]),
        (filters(("about", Op.TEXT_MATCH_INSENSITIVE, "NORTH")), ["north"]),
        (filters(filters(("n", Op.EQ, 0), ("n", Op.EQ, 2), condition=FilterCondition.OR), ("n", Op.GT, 0)), ["north"]),
    ],
)
def test_filters(raw, wanted, expected):
    raw.add(nodes())
    assert query(raw, filters=wanted).ids == expected
    assert [node.node_id for node in raw.get_nodes(filters=wanted)] == sorted(expected)
    raw.delete_nodes(filters=wanted)
    assert [node.node_id for node in raw.get_nodes()] == sorted({"east", "nearly", "north", "west"} - set(expected))


def test_a_filter_with_the_wrong_kind_of_value(store):
    with pytest.raises(ValueError, match="takes a list"):
        query(store, filters=filters(("n", Op.IN, 1)))
    with pytest.raises(ValueError, match="takes one value"):
        query(store, filters=filters(("n", Op.EQ, [1])))


def test_queries_among_some_documents_and_nodes(store):
    store.add(nodes())
    assert query(store, doc_ids=["doc1"]).ids == ["north", "west"]
    assert query(store, node_ids=["west", "east", "no"]).ids == ["east", "west"]
    assert query(store, node_ids=["west", "east"], doc_ids=["doc1"], filters=filters(("n", Op.EQ, 0))).ids == []


def test_deleting(store):
    store.add(nodes())
    store.delete("doc0")
    assert query(store).ids == ["north", "west"]
    store.delete_nodes(["west", "no"])
    assert query(store).ids == ["north"]
    with pytest.raises(ValueError, match="clear"):
        store.delete_nodes()
    store.clear()
    assert query(store).ids == []


def test_modes(store):
    store.add([*nodes(), TextNode(id_="z", text="zebrafish libraries", embedding=[-1.0, -0.3])])
    mode = VectorStoreQueryMode
    assert query(store, mode=mode.MMR, similarity_top_k=2, mmr_threshold=1.0).ids == ["east", "nearly"]
    assert query(store, mode=mode.MMR, similarity_top_k=2, mmr_threshold=0.3).ids == ["east", "west"]
    for words in (mode.TEXT_SEARCH, mode.SPARSE):
        assert query(store, mode=words, query_str="a library?").ids == ["z"]
        assert query(store, mode=words, query_str="?").ids == []
    hybrid = {"mode": mode.HYBRID, "query_str": "zebrafish", "similarity_top_k": 2}
    assert query(store, **hybrid, alpha=1.0).ids == ["east", "nearly"]
    assert query(store, **hybrid, alpha=0.0, hybrid_top_k=1).ids == ["z"]
    assert set(query(store, **hybrid, hybrid_top_k=3).ids) == {"east", "nearly", "z"}
    with pytest.raises(ValueError, match="'svm' is not one of"):
        query(store, mode=mode.SVM)
    with pytest.raises(ValueError, match="needs query_str"):
        query(store, mode=mode.HYBRID)
    with pytest.raises(ValueError, match="needs query_embedding"):
        query(store, query_embedding=None)


def test_points_of_others_are_readable(one_node, collection):
    store = VectronVectorStore(collection, url=one_node.url)
    store.add(nodes())
    store.client.upsert(collection, [("odd", [1, 0], {"text": "theirs", "metadata": {"x": 1}})])
    found = store.get_nodes(filters=filters(("x", Op.EQ, 1)))
    assert [(node.node_id, node.get_content(), node.metadata) for node in found] == [("odd", "theirs", {"x": 1})]


def test_what_is_written_down_makes_the_same_store(one_node, collection):
    store = VectronVectorStore(collection, url=one_node.url, distance="dot", connection={"key": "a-secret-of-sixteen"})
    written = store.to_dict()
    assert "a-secret" not in str(written)
    again = VectronVectorStore.from_dict(written)
    assert (again.collection, again.url, again.distance) == (collection, one_node.url, "dot")
    again.add(nodes())
    assert again.client.get_collection(collection).distance == "dot"


class Letters(BaseEmbedding):
    """How often each letter occurs."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return [1.0 + text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def test_retrieval_from_end_to_end(raw):
    texts = ["zzzz zebra zzzz", "quiet quokka queue", "mammoth mmm", "banana bbb"]
    documents = [
        Document(doc_id=text.split()[0], text=text, metadata={"n": number}, excluded_embed_metadata_keys=["n"])
        for number, text in enumerate(texts)
    ]
    context = StorageContext.from_defaults(vector_store=raw)
    index = VectorStoreIndex.from_documents(documents, storage_context=context, embed_model=Letters())
    found = index.as_retriever(similarity_top_k=2).retrieve("zzzzz")
    assert found[0].node.get_content() == texts[0]
    assert found[0].score > found[1].score
    again = VectorStoreIndex.from_vector_store(raw, embed_model=Letters())
    only = filters(("n", Op.GTE, 1))
    retriever = again.as_retriever(similarity_top_k=1, filters=only)
    assert asyncio.run(retriever.aretrieve("qqq"))[0].node.metadata == {"n": 1}
    again.insert(Document(doc_id="late", text="xxxx xxxx"))
    assert again.as_retriever(similarity_top_k=1).retrieve("xxx")[0].node.ref_doc_id == "late"
    index.delete_ref_doc("zzzz")
    assert texts[0] not in [one.node.get_content() for one in again.as_retriever(similarity_top_k=9).retrieve("zzzzz")]
    hybrid = again.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=3, alpha=0.0)
    assert hybrid.retrieve("a mammoth")[0].node.get_content() == "mammoth mmm"
