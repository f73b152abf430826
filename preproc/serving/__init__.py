"""Bundles on inference servers: what such a server needs to load one, and whether a running one answers what the bundle promises."""
