"""Vectron as a vector store of LlamaIndex."""

from .store import VectronVectorStore

__all__ = ["VectronVectorStore"]
