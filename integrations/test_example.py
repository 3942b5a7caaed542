"""The example runs as its own text says, and its model gives the vectors of the original."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import Server

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "python"
SAMPLE = ROOT / "crates" / "vectron" / "sample"


def test_packages_are_found_and_explained(one_node: Server, collection: str) -> None:
    command = [sys.executable, str(EXAMPLES / "search_packages.py"), "--collection", collection, "--section", "libs"]
    asked = ["--rows", "300", "--query", "shared library for databases"]
    environment = {**os.environ, "VECTRON_URL": one_node.url}
    run = subprocess.run([*command, *asked], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == "300 packages are in, 0 were refused"
    assert "libcdb1" in lines[3], "the second package of the sample is such a library"
    assert "plan" in run.stdout
    assert "filter_matched" in run.stdout


def test_the_model_is_the_one_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample's questions were embedded by the original, in PyTorch."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from minilm import MiniLM

    with gzip.open(SAMPLE / "queries.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    expected = np.load(SAMPLE / "queries.f32.npy")
    assert np.abs(MiniLM().embed(texts) - expected).max() < 1e-5
