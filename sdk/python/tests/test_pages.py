"""The Python on our pages runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import Node

ROOT = Path(__file__).parents[3]
PAGES = ["README.md", "docs/PYTHON.md", "sdk/python/README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of(
    page: str, own_node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    text = (ROOT / page).read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S)
    assert blocks, page
    # Examples name the address of a local node; ours has another port.
    monkeypatch.setenv("VECTRON_URL", own_node.url)
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        line = text[: text.index(block)].count("\n")
        code = block.replace("http://127.0.0.1:8080", own_node.url)
        exec(compile("\n" * line + code, page, "exec"), names)
    if page.endswith("README.md"):
        assert "0.98058" in capsys.readouterr().out
