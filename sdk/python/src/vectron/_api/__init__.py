"""The calls, by subject. These modules are the blocking client's; the asyncio client's are made from them by
``tools/make_async.py``."""
