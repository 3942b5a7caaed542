"""Vectron as a vector store and retriever of LangChain."""

from ._retriever import VectronRetriever
from ._store import VectronVectorStore

__all__ = ["VectronRetriever", "VectronVectorStore"]
