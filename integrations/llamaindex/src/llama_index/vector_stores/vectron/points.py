"""Nodes as points and back."""

from __future__ import annotations

from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from vectron import Hit, Point

TEXT = "text"
DOCUMENT = "ref_doc_id"
NODE = "node_id"


def point_of(node: BaseNode) -> dict[str, Any]:
    """A node as a point: its text, its metadata to filter by, and the node itself in LlamaIndex's own form."""
    described = node_to_metadata_dict(node, remove_text=True, flat_metadata=False)
    payload = {
        TEXT: node.get_content(metadata_mode=MetadataMode.NONE),
        # An empty list counts as empty (IS_EMPTY), which the server knows of what is not there only.
        "metadata": {name: value for name, value in node.metadata.items() if value != []},
        NODE: node.node_id,
        "node": described["_node_content"],
        "node_type": described["_node_type"],
    }
    if node.ref_doc_id is not None:
        payload[DOCUMENT] = node.ref_doc_id
    return {"id": node.node_id, "vector": node.get_embedding(), "payload": payload}


def node_of(point: Point | Hit) -> BaseNode:
    """The node of a point, also of one that something else wrote."""
    payload = point.payload or {}
    text = payload.get(TEXT)
    text = text if isinstance(text, str) else ""
    if "node" not in payload:
        metadata = payload.get("metadata")
        return TextNode(id_=point.id, text=text, metadata=metadata if isinstance(metadata, dict) else {})
    described = {"_node_content": payload["node"], "_node_type": payload.get("node_type")}
    return metadata_dict_to_node(described, text=text)
