"""Retrievers of a Vectron document store."""

from .retrievers import VectronBM25Retriever, VectronEmbeddingRetriever

__all__ = ["VectronBM25Retriever", "VectronEmbeddingRetriever"]
