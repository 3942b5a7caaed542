"""The calls of the asyncio client, made from ``_api`` by ``tools/make_async.py``."""
