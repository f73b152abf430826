"""Benchmarks: ratios against a peer, measured in pairs in one run on one thread. Never part of the test suite."""
