"""Bundles on inference servers: what such a server needs to load one, and whether a running one answers what the bundle promises.

In: a bundle, or a server's address. Out: a version in a model repository, or a Report.
Never: a change of what is served already.
"""

from .check import serve_check, to_json
from .packaging import package

__all__ = ["package", "serve_check", "to_json"]
