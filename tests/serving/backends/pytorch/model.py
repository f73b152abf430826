"""Stands in for Triton's pytorch backend, which is C++ and not on PyPI: see ../onnxruntime/model.py. It loads what the platform says,
TorchScript or an AOTInductor package, and takes the names that the C++ one does."""

import json
from pathlib import Path

import numpy as np
import torch
import triton_python_backend_utils as pb_utils


def torchscript(file):
    module = torch.jit.load(str(file), map_location="cpu").eval()
    arguments = [[argument.name] for argument in module.forward.schema.arguments][1:]

    def run(inputs):
        found = module(*inputs)
        return list(found) if isinstance(found, tuple) else [found]

    return run, arguments, None


def package(file):
    """As the C++ one does it, of release 26.05: through the loader's runner, and by the call specification in the package."""
    loader = torch._C._aoti.AOTIModelPackageLoader(str(file), "model", False, 1, -1)
    taken, given = (json.loads(spec)[1] for spec in loader.get_call_spec())
    positional, keywords = taken["children_spec"]
    if keywords["children_spec"] or any(child["children_spec"] for child in positional["children_spec"]):
        raise pb_utils.TritonModelException(f"expected tensors as arguments, got {taken}")
    inputs = [[f"INPUT__{position}", f"ARGS[{position}]"] for position in range(len(positional["children_spec"]))]
    answers = given["children_spec"]
    outputs = [[f"OUTPUT__{position}", f"RESULT[{position}]"] for position in range(len(answers))] or [["OUTPUT__0", "RESULT"]]
    return loader.run, inputs, outputs


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        open_file = {"pytorch_libtorch": torchscript, "torch_aoti": package}[config["platform"]]
        file = Path(args["model_repository"]) / args["model_version"] / (config["default_model_filename"] or "model.pt")
        self.run, taken, given = open_file(file)
        self.batching = config["max_batch_size"] > 0
        self.inputs = [value["name"] for value in config["input"]]
        self.outputs = [value["name"] for value in config["output"]]
        self._compare("inputs", self.inputs, taken)
        if given is not None:
            self._compare("outputs", self.outputs, given)
        for position, name in enumerate(self.outputs):
            if name.rpartition("__")[2] != str(position):
                raise pb_utils.TritonModelException(f"expected outputs named <name>__<index>, got {name} in place {position}")
        if open_file is package and args["model_instance_kind"] != "CPU":
            raise pb_utils.TritonModelException(
                f"expected instances on the CPU, which the package is for, got {args['model_instance_kind']}"
            )

    def _compare(self, what, told, known):
        if len(told) != len(known) or not all(name in names for name, names in zip(told, known)):
            raise pb_utils.TritonModelException(f"expected {what} named {known}, got {told}")

    def execute(self, requests):
        feeds = [[pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs] for request in requests]
        groups = [feeds] if self.batching else [[feed] for feed in feeds]
        return [response for group in groups for response in self._answer(group)]

    def _answer(self, feeds):
        together = [torch.from_numpy(np.concatenate(values)) for values in zip(*feeds)]
        try:
            with torch.inference_mode():
                found = self.run(together)
        except Exception as error:
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error))) for _ in feeds]
        values = [value.numpy() for value in found]
        rows = np.cumsum([len(feed[0]) for feed in feeds])[:-1]
        parts = [np.split(value, rows) for value in values]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(name, part[position]) for name, part in zip(self.outputs, parts)])
            for position in range(len(feeds))
        ]
