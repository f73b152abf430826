"""A network as one file, in each format: ONNX, TorchScript, pt2. What files promise and keep is other rooms' affair."""
