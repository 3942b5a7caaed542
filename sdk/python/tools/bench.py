"""What the client costs: ``python tools/bench.py BINARY DATA [--rows N] [--rounds N]``.

Starts a node of its own, and prints: processor time of the import beyond numpy; of one search call of each client;
rows per second of ``vectron import`` and of ``Client.upload`` on the same rows into the same server, in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np

from vectron import AsyncClient, Client

QUERIES = 500


def cpu_per_call(call, queries) -> float:
    for query in queries[:50]:
        call(query)
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for query in queries:
            call(query)
        rounds.append((time.process_time() - start) / len(queries) * 1e6)
    return statistics.median(rounds)


async def async_cpu_per_call(url: str, queries) -> float:
    rounds = []
    async with AsyncClient(url) as client:
        for _ in range(5):
            start = time.process_time()
            for query in queries:
                await client.search("uploaded", query)
            rounds.append((time.process_time() - start) / len(queries) * 1e6)
    return statistics.median(rounds[1:])


def import_cpu() -> float:
    code = "import numpy, time; t = time.process_time(); import vectron; print(time.process_time() - t)"
    runs = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    return statistics.median(runs)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--rows", type=int)
    arguments.add_argument("--rounds", type=int, default=1)
    asked = arguments.parse_args()
    print(f"import, beyond numpy: {import_cpu() * 1000:.0f} ms of processor time")
    vectors = np.load(asked.data / "vectors.f16.npy", mmap_mode="r")[: asked.rows]
    with gzip.open(asked.data / "payload.jsonl.gz", "rt", encoding="utf-8") as lines:
        payloads = [json.loads(line) for line in islice(lines, len(vectors))]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        np.save(place / "vectors.npy", vectors)
        (place / "payload.jsonl").write_text("".join(json.dumps(one) + "\n" for one in payloads), "utf-8")
        command = [asked.binary, "up", "--open", "--data-dir", str(place / "data"), "--listen", "127.0.0.1:0", "-o"]
        with subprocess.Popen([*command, "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as node:
            try:
                assert node.stdout
                measure(
                    asked.binary, json.loads(node.stdout.readline())["grpc"], place, vectors, payloads, asked.rounds
                )
            finally:
                node.terminate()


def measure(binary: str, url: str, place: Path, vectors, payloads, rounds: int) -> None:
    rows = len(vectors)
    with Client(url) as client:
        for number in range(rounds):
            times = {}
            for who in ("rust", "python") if number % 2 == 0 else ("python", "rust"):
                client.create_collection("uploaded", dimension=vectors.shape[1], distance="cosine")
                start, used = time.monotonic(), time.process_time()
                if who == "rust":
                    files = [str(place / "vectors.npy"), "--payload", str(place / "payload.jsonl")]
                    subprocess.run(
                        [binary, "import", "uploaded", *files, "--url", url],
                        check=True,
                        capture_output=True,
                        cwd=place,
                    )
                else:
                    result = client.upload("uploaded", vectors, payloads=payloads)
                    assert result.upserted == rows, result
                    print(f"  processor time of the client: {(time.process_time() - used) / rows * 1e6:.0f} µs per row")
                times[who] = time.monotonic() - start
                assert client.count("uploaded") == rows
                if who == "rust" or number < rounds - 1 or "rust" not in times:
                    client.delete_collection("uploaded")
            rust, python = rows / times["rust"], rows / times["python"]
            print(f"upload of {rows} rows: {python:.0f} rows/s, vectron import {rust:.0f} rows/s, {python / rust:.2f}")
        if client.collection_exists("uploaded"):
            client.delete_collection("uploaded")
        client.create_collection("uploaded", dimension=vectors.shape[1], distance="cosine")
        client.upload("uploaded", vectors[:2000], payloads=payloads[:2000])
        queries = list(np.asarray(vectors[:QUERIES], dtype=np.float32))
        print(f"search, 10 hits with payload: {cpu_per_call(lambda q: client.search('uploaded', q), queries):.0f} µs")
        bare = cpu_per_call(lambda q: client.search("uploaded", q, include_payload=False), queries)
        print(f"search, 10 hits without: {bare:.0f} µs")
    print(f"search, asyncio, with payload: {asyncio.run(async_cpu_per_call(url, queries)):.0f} µs")


if __name__ == "__main__":
    main()
