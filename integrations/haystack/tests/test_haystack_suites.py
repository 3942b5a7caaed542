"""Haystack's own suites, whole, against one node and against three with every point on each of them."""

from __future__ import annotations

import dataclasses

import pytest
from haystack.dataclasses import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.testing import document_store as suites
from haystack.testing import document_store_async as async_suites

from haystack_integrations.document_stores.vectron import VectronDocumentStore


class Comparing:
    """The two that may be overridden."""

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        """Equal but for the order, which is that of the ids, and the last bits of embeddings, which are 32-bit."""
        assert [one.id for one in received] == sorted(one.id for one in expected)
        for got, wanted in zip(received, sorted(expected, key=lambda one: one.id), strict=True):
            assert got.embedding == pytest.approx(wanted.embedding, rel=1e-6) if wanted.embedding else not got.embedding
            assert dataclasses.replace(got, embedding=None) == dataclasses.replace(wanted, embedding=None)

    def test_write_documents(self, document_store) -> None:
        """Without a policy a document that is there is an error, as with FAIL."""
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])
        self.assert_documents_are_equal(document_store.filter_documents(), [document])


class Blocking(
    Comparing,
    suites.DocumentStoreBaseExtendedTests,
    suites.CountDocumentsByFilterTest,
    suites.CountUniqueMetadataByFilterTest,
    suites.GetMetadataFieldsInfoTest,
    suites.GetMetadataFieldMinMaxTest,
    suites.GetMetadataFieldUniqueValuesTest,
):
    """All that there is to test of blocking calls."""


class ComparingAwaited(Comparing):
    """The same for the asyncio set."""

    test_write_documents = None

    async def test_write_documents_async(self, document_store) -> None:
        document = Document(content="test doc")
        assert await document_store.write_documents_async([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async([document])
        self.assert_documents_are_equal(await document_store.filter_documents_async(), [document])


class Awaited(
    ComparingAwaited,
    async_suites.CountDocumentsAsyncTest,
    async_suites.WriteDocumentsAsyncTest,
    async_suites.DeleteDocumentsAsyncTest,
    async_suites.DeleteAllAsyncTest,
    async_suites.DeleteByFilterAsyncTest,
    async_suites.UpdateByFilterAsyncTest,
    async_suites.FilterDocumentsAsyncTest,
    async_suites.CountDocumentsByFilterAsyncTest,
    async_suites.CountUniqueMetadataByFilterAsyncTest,
    async_suites.GetMetadataFieldsInfoAsyncTest,
    async_suites.GetMetadataFieldMinMaxAsyncTest,
    async_suites.GetMetadataFieldUniqueValuesAsyncTest,
):
    """All that there is to test of asyncio calls."""


class OneNode:
    @pytest.fixture
    def document_store(self, one_node, collection):
        return VectronDocumentStore(collection, url=one_node.url)


class ThreeNodes:
    @pytest.fixture
    def document_store(self, three_nodes, emptied):
        return VectronDocumentStore(emptied, url=three_nodes.url, collection_settings=three_nodes.settings)


class TestBlockingOnOneNode(OneNode, Blocking):
    pass


class TestAsyncioOnOneNode(OneNode, Awaited):
    pass


class TestBlockingOnThreeNodes(ThreeNodes, Blocking):
    pass


class TestAsyncioOnThreeNodes(ThreeNodes, Awaited):
    pass
