#!/usr/bin/env python3
"""Makes the sample that `vectron demo` loads, from the full set of embedded Debian packages.

    python3 make_sample.py DATA_DIR [OUT_DIR]

DATA_DIR holds `vectors.f16.npy`, `payload.jsonl.gz`, `queries.f32.npy`, `queries.jsonl.gz` and `truth.npz`
(see README.md). Needs numpy only. The same input gives the same bytes.
"""

import gzip
import json
import pathlib
import sys

import numpy as np

# More than the 4,096 rows from which on a graph is built; together under 3.9 MB.
ROWS = 4_800
NEIGHBOURS = 20
SEED = 20_250_601
# Rows of queries.jsonl.gz whose texts read well on a screen.
QUERIES = [
    44, 347, 353, 271, 525, 88, 153, 275, 312, 327, 333, 367,
    427, 447, 478, 491, 506, 507, 566, 569, 603, 644, 560, 398,
]


def read_lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_lines(path, objects):
    text = "".join(json.dumps(o, ensure_ascii=False, separators=(",", ":")) + "\n" for o in objects)
    # No time and no name in the header, so that the bytes depend on the content alone.
    path.write_bytes(gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0))


def main():
    data = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else pathlib.Path(__file__).parent
    vectors = np.load(data / "vectors.f16.npy", mmap_mode="r")
    payload = read_lines(data / "payload.jsonl.gz")
    queries = np.load(data / "queries.f32.npy")
    texts = read_lines(data / "queries.jsonl.gz")
    truth = np.load(data / "truth.npz")["all"]

    # The true neighbours of the canned queries first, so that their answers are as good as on the whole set;
    # the rest of the rows at random, so that those neighbours have to be found.
    chosen = set(truth[QUERIES, :NEIGHBOURS].ravel().tolist())
    for row in np.random.default_rng(SEED).permutation(len(payload)):
        if len(chosen) >= ROWS:
            break
        chosen.add(int(row))
    rows = sorted(chosen)

    np.save(out / "vectors.f16.npy", np.ascontiguousarray(vectors[rows]))
    np.save(out / "queries.f32.npy", np.ascontiguousarray(queries[QUERIES].astype("<f4")))
    kept = ("name", "section", "installed_size", "short")
    write_lines(out / "payload.jsonl.gz", ({k: payload[r][k] for k in kept} for r in rows))
    write_lines(out / "queries.jsonl.gz", ({"text": texts[q]["text"]} for q in QUERIES))
    size = sum((out / f).stat().st_size for f in
               ("vectors.f16.npy", "queries.f32.npy", "payload.jsonl.gz", "queries.jsonl.gz"))
    print(f"{len(rows)} documents, {len(QUERIES)} queries, {size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
