"""Stands in for Triton's onnxruntime backend, which is C++ and not on PyPI: the same files, config and batches, through Triton's own Python
backend. One run of the session for all the requests that Triton's batcher has put together."""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

TYPES = {
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
}


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        file = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self.batching = config["max_batch_size"] > 0
        self.scalars = set()
        self.inputs = [value["name"] for value in config["input"]]
        self.outputs = [value["name"] for value in config["output"]]
        self._compare(config["input"], self.session.get_inputs())
        self._compare(config["output"], self.session.get_outputs())

    def _compare(self, told, found):
        """As the C++ backend: every value of the graph, its type and its dims."""
        graph = {value.name: (TYPES[value.type], [side if isinstance(side, int) else -1 for side in value.shape]) for value in found}
        batch = [-1] if self.batching else []
        self.scalars |= {value.name for value in found if not value.shape and not self.batching}
        config = {value["name"]: (value["data_type"], batch + self._sides(value)) for value in told}
        if graph != config:
            raise pb_utils.TritonModelException(f"the config says {config}, the model file {graph}")

    def _sides(self, value):
        """What the model sees: dims, or what they are reshaped to; nothing for a single number, whose dims are [1]."""
        sides = [int(side) for side in (value["reshape"].get("shape", []) if "reshape" in value else value["dims"])]
        return [] if value["name"] in self.scalars and sides == [1] else sides

    def execute(self, requests):
        feeds = [{name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs} for request in requests]
        return self._together(feeds) if self.batching else [self._answer(self._run, feed) for feed in feeds]

    def _together(self, feeds):
        together = {name: np.concatenate([feed[name] for feed in feeds]) for name in self.inputs}
        rows = np.cumsum([len(feed[self.inputs[0]]) for feed in feeds])[:-1]
        try:
            parts = zip(*(np.split(values, rows) for values in self._run(together)))
        except Exception as error:
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error))) for _ in feeds]
        return [self._answer(list, part) for part in parts]

    def _answer(self, compute, of):
        try:
            return pb_utils.InferenceResponse([pb_utils.Tensor(name, values) for name, values in zip(self.outputs, compute(of))])
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))

    def _run(self, feed):
        shaped = {name: values.reshape(()) if name in self.scalars else values for name, values in feed.items()}
        return self.session.run(self.outputs, shaped)
