"""Exact statistics of the pixels of a data set. Pillow and NumPy; no torch, and dask and fsspec only where they are asked for."""
