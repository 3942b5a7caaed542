"""What the standard suite does not ask: filters, MMR, hybrid, scores, settings."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from langchain_vectron import VectronRetriever, VectronVectorStore
from vectron import AsyncClient, Client, InvalidArgument, NotFound


class Known(Embeddings):
    """Vectors that a test can reason about: a text names its own angle."""

    vectors: ClassVar = {"east": [1.0, 0.0], "nearly east": [0.99, 0.14], "north": [0.0, 1.0], "west": [-1.0, 0.0]}

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        return self.vectors[text]


def filled(server, collection: str, **options) -> VectronVectorStore:
    store = VectronVectorStore(Known(), collection, url=server.url, **options)
    metadata = [{"x": number, "color": "red" if number < 2 else "blue", "in": {"n": number}} for number in range(4)]
    store.add_texts(list(Known.vectors), metadata, ids=["e", "ne", "n", "w"])
    return store


def ids(documents) -> list[str]:
    return [document.id for document in documents]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"color": "red"}, ["e", "ne"]),
        ({"x": {"$gte": 1}, "color": "red"}, ["ne"]),
        ({"$or": [{"x": 0}, {"in.n": 3}]}, ["e", "w"]),
        ({"$not": {"$and": [{"color": "red"}, {"x": 0}]}}, ["ne", "n", "w"]),
        ({"color": {"$in": ["green"]}}, []),
        ({}, ["e", "ne", "n", "w"]),
    ],
)
def test_filters_are_over_metadata(one_node, collection, filter, expected):
    store = filled(one_node, collection)
    assert ids(store.similarity_search("east", k=10, filter=filter)) == expected
    assert ids(asyncio.run(store.asimilarity_search("east", k=10, filter=filter))) == expected


def test_mmr_prefers_what_is_unlike(one_node, collection):
    store = filled(one_node, collection)
    assert ids(store.max_marginal_relevance_search("east", k=2, lambda_mult=1.0)) == ["e", "ne"]
    assert ids(store.max_marginal_relevance_search("east", k=2, lambda_mult=0.3)) == ["e", "w"]
    only = {"x": {"$lt": 3}}
    assert ids(store.max_marginal_relevance_search("east", k=2, lambda_mult=0.3, filter=only)) == ["e", "n"]
    assert ids(asyncio.run(store.amax_marginal_relevance_search("east", k=2, lambda_mult=0.3))) == ["e", "w"]
    mmr = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "lambda_mult": 1.0})
    assert ids(mmr.invoke("east")) == ["e", "ne"]


def test_hybrid_finds_by_words_what_vectors_miss(one_node, collection):
    embedding = DeterministicFakeEmbedding(size=8)
    store = VectronVectorStore(embedding, collection, url=one_node.url, text_language="english")
    texts = [f"plain text number {number}" for number in range(30)]
    store.add_texts([*texts, "a library for zebrafish"], [{"n": number} for number in range(31)])
    assert store.hybrid_search("Zebrafish libraries?", k=1, vector_weight=0.1)[0].metadata == {"n": 30}
    found = store.hybrid_search_with_score("zebrafish", k=31, fetch_k=40)
    assert len(found) == 31
    assert sorted((score for _, score in found), reverse=True) == [score for _, score in found]
    assert store.hybrid_search("zebrafish", k=3, filter={"n": {"$lt": 30}}, vector_weight=0)[0].metadata["n"] < 30
    retriever = VectronRetriever(store=store, mode="hybrid", k=1, search_kwargs={"vector_weight": 0.0})
    assert asyncio.run(retriever.ainvoke("zebrafish"))[0].metadata == {"n": 30}
    assert len(store.hybrid_search("?!", k=2)) == 2, "without a word the vectors decide"


def test_hybrid_without_a_text_index_says_so(one_node, collection):
    with pytest.raises(InvalidArgument, match="text"):
        filled(one_node, collection).hybrid_search("east")


@pytest.mark.parametrize(
    ("distance", "scores"), [("cosine", [1.0, 0.5, 0.0]), ("dot", [1.0, 0.5, 0.0]), ("euclidean", [1.0, 0.41, 0.33])]
)
def test_relevance_is_from_0_to_1(one_node, collection, distance, scores):
    store = filled(one_node, collection, distance=distance)
    only = {"x": {"$ne": 1}}
    found = store.similarity_search_with_relevance_scores("east", k=3, filter=only)
    assert [score for _, score in found] == pytest.approx(scores, abs=0.01)
    awaited = asyncio.run(store.asimilarity_search_with_relevance_scores("east", k=3, filter=only))
    assert awaited == found
    near = store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.9})
    assert ids(near.invoke("east"))[0] == "e"


def test_deleting_by_filter_and_all(one_node, collection):
    store = filled(one_node, collection)
    store.delete(filter={"color": "red"})
    assert ids(store.get_by_ids(["w", "e", "n", "w"])) == ["w", "n"]
    store.delete([])
    assert len(store.similarity_search("east")) == 2
    with pytest.raises(TypeError, match="colour"):
        store.delete(colour="red")
    store.delete()
    assert store.similarity_search("east") == []


def test_a_collection_is_made_once_and_as_asked(one_node, collection):
    empty = VectronVectorStore(Known(), collection, url=one_node.url, collection_settings={"shards": 2})
    assert empty.similarity_search("east") == empty.get_by_ids(["e"]) == []
    strict = VectronVectorStore(Known(), collection, url=one_node.url, create_collection=False)
    for call in (lambda: strict.similarity_search("east"), lambda: strict.add_texts(["east"]), strict.delete):
        with pytest.raises(NotFound):
            call()
    empty.add_texts(["east"])
    assert empty.client.get_collection(collection).shards == 2
    assert len(strict.similarity_search("east")) == 1


def test_documents_of_others_are_readable(one_node, collection):
    store = filled(one_node, collection)
    store.client.upsert(collection, [("odd", [1, 0], {"text": 7}), {"id": "bare", "vector": [1, 0]}])
    assert store.get_by_ids(["odd", "bare"]) == [
        Document(id="odd", page_content=""),
        Document(id="bare", page_content=""),
    ]


def test_given_clients(one_node, collection):
    async def awaited(client: Client) -> list[str]:
        async with AsyncClient(one_node.url) as own:
            store = VectronVectorStore(Known(), collection, client=client, async_client=own)
            await store.aadd_texts(["east"], ids=["e"])
            assert ids(store.similarity_search("east")) == ["e"]
            return ids(await store.asimilarity_search("east"))

    with Client(one_node.url) as client:
        assert asyncio.run(awaited(client)) == ["e"]


def test_many_documents_in_batches(one_node, collection):
    store = VectronVectorStore(DeterministicFakeEmbedding(size=4), collection, url=one_node.url)
    documents = [Document(page_content=str(number), metadata={"n": number}) for number in range(1201)]
    names = store.add_documents(documents, batch_size=100)
    assert len(set(names)) == 1201
    assert [document.metadata["n"] for document in store.get_by_ids(names)] == list(range(1201))
    with pytest.raises(ValueError, match="ids"):
        store.add_documents(documents, ids=["one"])
