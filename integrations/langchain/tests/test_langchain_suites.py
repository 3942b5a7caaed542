"""LangChain's own suites, whole, against one node and against three with every point on each of them."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from langchain_vectron import VectronRetriever, VectronVectorStore


class TestStoreOnOneNode(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, one_node, collection):
        return VectronVectorStore(self.get_embeddings(), collection, url=one_node.url)


class TestStoreOnThreeNodes(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, three_nodes, emptied):
        settings = three_nodes.settings
        return VectronVectorStore(self.get_embeddings(), emptied, url=three_nodes.url, collection_settings=settings)


class OneRetriever(RetrieversIntegrationTests):
    """The suite asks for the constructor's arguments outside of fixtures, so these are laid ready for it."""

    store: VectronVectorStore

    def fill(self, server, collection: str) -> None:
        embedding = VectorStoreIntegrationTests.get_embeddings()
        settings = server.settings
        type(self).store = VectronVectorStore(embedding, collection, url=server.url, collection_settings=settings)
        self.store.add_documents([Document(page_content=f"text {number}") for number in range(5)])

    @property
    def retriever_constructor(self):
        return VectronRetriever

    @property
    def retriever_constructor_params(self):
        return {"store": self.store}

    @property
    def retriever_query_example(self):
        return "text 3"


class TestRetrieverOnOneNode(OneRetriever):
    @pytest.fixture(autouse=True)
    def filled(self, one_node, collection):
        self.fill(one_node, collection)


class TestRetrieverOnThreeNodes(OneRetriever):
    @pytest.fixture(autouse=True)
    def filled(self, three_nodes, emptied):
        self.fill(three_nodes, emptied)
