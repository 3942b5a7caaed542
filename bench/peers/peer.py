"""One peer library with one build setting, driven line by line over stdin.

    peer.py LIBRARY DIRECTORY SETTING...

DIRECTORY holds `rows.f32` and `queries.f32` (unit vectors, little-endian) and `shape` ("rows queries dimension made_rows").
Commands: `build`, `load FILE`, `save FILE`, `search K EFFORT`. Each is answered with one line of JSON. Times are
processor seconds of this process, which runs one thread: a search hands the library all queries in one call, so
Python's share is one call per thousand queries.
"""

import json
import os
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np


def this_machine():
    """The widest vector instructions of this processor, which is what a native build may use."""
    with open("/proc/cpuinfo") as text:
        flags = next((line for line in text if line.startswith("flags")), "").split()
    return next((name for name in ("avx512f", "avx2", "avx", "asimd") if name in flags), "baseline")


class Hnswlib:
    def __init__(self, dimension, m, ef_construction):
        import hnswlib

        self.library, self.dimension = hnswlib, dimension
        self.m, self.ef_construction = int(m), int(ef_construction)
        self.version = "0.8.0"
        native = "off" if os.environ.get("HNSWLIB_NO_NATIVE") else "on"
        self.isa = f"built here, march=native {native}, processor has {this_machine()}"

    def empty(self):
        return self.library.Index(space="ip", dim=self.dimension)

    def build(self, rows):
        self.index = self.empty()
        self.index.init_index(
            max_elements=len(rows), M=self.m, ef_construction=self.ef_construction, random_seed=100
        )
        self.index.add_items(rows, num_threads=1)

    def search(self, queries, k, effort):
        self.index.set_ef(effort)
        ids, _ = self.index.knn_query(queries, k=k, num_threads=1)
        return ids, None

    def load(self, path):
        self.index = self.empty()
        self.index.load_index(path)

    def save(self, path):
        self.index.save_index(path)


class FaissHnsw:
    def __init__(self, dimension, m, ef_construction):
        import faiss

        faiss.omp_set_num_threads(1)
        self.library, self.dimension = faiss, dimension
        self.m, self.ef_construction = int(m), int(ef_construction)
        self.version = faiss.__version__
        self.isa = f"{faiss.get_compile_options().strip()}; chosen at load, processor has {this_machine()}"

    def build(self, rows):
        self.index = self.library.IndexHNSWFlat(self.dimension, self.m, self.library.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = self.ef_construction
        self.index.add(rows)

    def search(self, queries, k, effort):
        stats = self.library.cvar.hnsw_stats
        stats.reset()
        self.index.hnsw.efSearch = effort
        _, ids = self.index.search(queries, k)
        return ids, stats.ndis / len(queries)

    def load(self, path):
        self.index = self.library.read_index(path)

    def save(self, path):
        self.library.write_index(self.index, path)


class FaissIvf(FaissHnsw):
    """An inverted file with 4-bit product codes in fast-scan order, and exact rescoring of the best."""

    def __init__(self, dimension, lists, parts):
        super().__init__(dimension, 0, 0)
        self.recipe = f"IVF{lists},PQ{parts}x4fs,RFlat"

    def build(self, rows):
        self.index = self.library.index_factory(
            self.dimension, self.recipe, self.library.METRIC_INNER_PRODUCT
        )
        self.index.train(rows)
        self.index.add(rows)

    def search(self, queries, k, effort):
        base = self.library.downcast_index(self.index.base_index)
        base.nprobe = effort
        self.index.k_factor = 10
        _, ids = self.index.search(queries, k)
        return ids, None


class Usearch:
    def __init__(self, dimension, m, ef_construction, dtype):
        import usearch
        import usearch.index

        self.library, self.dimension, self.dtype = usearch.index, dimension, dtype
        self.m, self.ef_construction = int(m), int(ef_construction)
        self.version = usearch.__version__
        self.isa = self.empty().hardware_acceleration

    def empty(self):
        return self.library.Index(
            ndim=self.dimension,
            metric="cos" if self.dtype == "i8" else "ip",
            dtype=self.dtype,
            connectivity=self.m,
            expansion_add=self.ef_construction,
        )

    def build(self, rows):
        self.index = self.empty()
        self.index.add(np.arange(len(rows), dtype=np.uint64), rows, threads=1)

    def search(self, queries, k, effort):
        self.index.expansion_search = effort
        found = self.index.search(queries, k, threads=1)
        return found.keys, found.computed_distances / len(queries)

    def load(self, path):
        self.index = self.empty()
        self.index.load(path)

    def save(self, path):
        self.index.save(path)


LIBRARIES = {"hnswlib": Hnswlib, "faiss-hnsw": FaissHnsw, "faiss-ivf": FaissIvf, "usearch": Usearch}


def main():
    name, directory, *setting = sys.argv[1:]
    with open(os.path.join(directory, "shape")) as text:
        row_count, query_count, dimension, _made = map(int, text.read().split())
    array = lambda file, count: np.fromfile(os.path.join(directory, file), "<f4").reshape(count, dimension)
    queries = array("queries.f32", query_count)
    peer = LIBRARIES[name](dimension, *setting)

    def answer(**fields):
        print(json.dumps(fields), flush=True)

    answer(version=peer.version, isa=peer.isa, python=sys.version.split()[0])
    for line in sys.stdin:
        command, *words = line.split()
        begun = time.process_time()
        if command == "build":
            rows = array("rows.f32", row_count)
            begun = time.process_time()
            peer.build(rows)
            spent = time.process_time() - begun
            del rows  # whoever measures this process's memory next must not count them
            answer(cpu_s=spent)
        elif command == "load":
            peer.load(words[0])
            answer(cpu_s=time.process_time() - begun)
        elif command == "save":
            peer.save(words[0])
            answer(bytes=os.path.getsize(words[0]))
        elif command == "search":
            ids, distances = peer.search(queries, int(words[0]), int(words[1]))
            spent = time.process_time() - begun
            answer(cpu_s=spent, ids=np.asarray(ids).tolist(), distances=distances)


if __name__ == "__main__":
    main()
