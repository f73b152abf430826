"""Stands in for Triton's pytorch backend, which is C++ and not on PyPI: see ../onnxruntime/model.py."""

import json
from pathlib import Path

import numpy as np
import torch
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.module = torch.jit.load(str(Path(args["model_repository"]) / args["model_version"] / "model.pt"), map_location="cpu").eval()
        self.batching = config["max_batch_size"] > 0
        self.inputs = [value["name"] for value in config["input"]]
        self.outputs = [value["name"] for value in config["output"]]
        arguments = [argument.name for argument in self.module.forward.schema.arguments][1:]
        if self.inputs != arguments:
            raise pb_utils.TritonModelException(f"expected inputs named as forward()'s arguments, {arguments}, got {self.inputs}")
        for position, name in enumerate(self.outputs):
            if name.rpartition("__")[2] != str(position):
                raise pb_utils.TritonModelException(f"expected outputs named <name>__<index>, got {name} in place {position}")

    def execute(self, requests):
        feeds = [[pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs] for request in requests]
        groups = [feeds] if self.batching else [[feed] for feed in feeds]
        return [response for group in groups for response in self._answer(group)]

    def _answer(self, feeds):
        together = [torch.from_numpy(np.concatenate(values)) for values in zip(*feeds)]
        try:
            with torch.inference_mode():
                found = self.module(*together)
        except Exception as error:
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error))) for _ in feeds]
        values = [value.numpy() for value in (found if isinstance(found, tuple) else (found,))]
        rows = np.cumsum([len(feed[0]) for feed in feeds])[:-1]
        parts = [np.split(value, rows) for value in values]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(name, part[position]) for name, part in zip(self.outputs, parts)])
            for position in range(len(feeds))
        ]
