"""Makes the asyncio client's calls out of the blocking client's: ``python tools/make_async.py [--check]``.

The modules of ``_api`` are written once, by hand. A method that reaches the server becomes a coroutine, and what it
waits for is awaited; iterators become asynchronous ones.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "vectron"

# Methods that reach the server by way of these.
PUBLIC = "list_collections|change_aliases|scroll|search|request"
WAITS = rf"self\.(_run|_run_bulk|_upsert|{PUBLIC})\("
NOTE = "# Made by tools/make_async.py from _api/{name}; change that one.\n"


def asynchronous(name: str, text: str) -> str:
    methods = re.compile(r"(?ms)^    def (\w+)\(.*?(?=^    def |^def |^class |\Z)")

    def method(match: re.Match[str]) -> str:
        body = match[0]
        if not re.search(WAITS, body) and "self._events(" not in body:
            return body
        body = body.replace("    def ", "    async def ", 1)
        body = re.sub(WAITS, r"await self.\1(", body)
        body = body.replace("for event in self._events(", "async for event in self._events(")
        return body.replace("-> Iterator[", "-> AsyncIterator[").replace("print(client.", "print((await client.")

    text = methods.sub(method, text)
    text = text.replace("import Iterable, Iterator", "import AsyncIterator, Iterable")
    text = text.replace("import Iterator, Mapping", "import AsyncIterator, Mapping")
    text = text.replace("from .._connect import Connected", "from .._connect_async import AsyncConnected")
    text = re.sub(r"^class (\w+)Calls\(Connected\)", r"class Async\1Calls(AsyncConnected)", text, flags=re.M)
    text = text.replace('.explain("docs", vector).explain)', '.explain("docs", vector)).explain)')
    first, rest = text.split("\n", 1)
    return NOTE.format(name=name) + first.replace('"""Calls', '"""Awaited calls') + "\n" + rest


def main() -> int:
    check = "--check" in sys.argv
    wrong = []
    for source in sorted((PACKAGE / "_api").glob("*.py")):
        target = PACKAGE / "_aio" / source.name
        if source.name == "__init__.py":
            text = '"""The calls of the asyncio client, made from ``_api`` by ``tools/make_async.py``."""\n'
        else:
            text = asynchronous(source.name, source.read_text("utf-8"))
        if target.exists() and target.read_text("utf-8") == text:
            continue
        wrong.append(target.name)
        if not check:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, "utf-8")
    if check and wrong:
        print("not as tools/make_async.py makes them:", ", ".join(wrong))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
