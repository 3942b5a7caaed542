"""Vectron as a document store of Haystack."""

from .document_store import VectronDocumentStore

__all__ = ["VectronDocumentStore"]
