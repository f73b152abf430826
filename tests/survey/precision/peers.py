"""A network in half precision and in 8 bits, as preproc writes it and as its peers do, each with its normalization."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from preproc import graph
from preproc.export.eight import in_eight_bits
from preproc.export.formats import export_backbone
from preproc.export.job import Eight
from preproc.export.quantizing import Quantization, calibrated_with
from preproc.export.resolving import job_of
from preproc.export.writing import exported, fold_module
from preproc.host import silent
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend
from preproc.verify.runtimes import onnxruntime
from tests.survey.precision.networks import Network, Pixels

CONVERTER = "onnxconverter_common"


@dataclass(frozen=True)
class Written:
    """A file, and what its client makes of pixels."""

    file: Path
    prepare: Callable[[Pixels], NDArray[Any]] = lambda pixels: pixels


class Unfolded(nn.Module):
    """The normalization in front, as it is usually written."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.module
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(network, name), dtype=torch.float32).view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.permute(0, 3, 1, 2).to(self.mean.dtype) / 255
        return self.network((x - self.mean) / self.std)


def pipeline(network: Network) -> Pipeline:
    return Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize(mean=network.mean.tolist(), std=network.std.tolist(), unit="0-1"))


def bare(network: Network, folder: Path) -> Path:
    """The network alone in float32, (N, 3, H, W) in."""
    example = torch.zeros(2, 3, *network.size)
    graph.save(export_backbone(network.module, example, outputs=["logits"], opset=18, size=network.size), folder / "bare.onnx")
    return folder / "bare.onnx"


def in_front(network: Network, file: Path, folder: Path) -> Path:
    """The bare file behind a Cast, a Transpose, a division by 255, a Sub and a Div."""
    model = onnx.load(file)
    ready = model.graph.input[0].name
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", *network.size, 3])
    nodes, value = [], pixels.name
    for kind, made, given, attributes in (
        ("Cast", "floats", None, {"to": TensorProto.FLOAT}),
        ("Transpose", "planes", None, {"perm": [0, 3, 1, 2]}),
        ("Div", "scaled", 255.0, {}),
        ("Sub", "centred", network.mean.reshape(1, 3, 1, 1), {}),
        ("Div", ready, network.std.reshape(1, 3, 1, 1), {}),
    ):
        inputs = [value] if given is None else [value, f"{made}/constant"]
        if given is not None:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(given, np.float32), inputs[1]))
        nodes.append(helper.make_node(kind, inputs, [made], name=f"normalize/{made}", **attributes))
        value = made
    model.graph.node.extend([*nodes, *(rest := list(model.graph.node))])
    del model.graph.node[: len(rest)]
    model.graph.input[0].CopyFrom(pixels)
    onnx.save(model, folder / "in_front.onnx")
    return folder / "in_front.onnx"


def ours(network: Network, file: Path, folder: Path) -> Written:
    """The bare file folded, in float32."""
    recipe = job_of(prepend(pipeline(network), network.module), ("onnx",), {"example": network.example, "name": "m"}, silent).recipe
    model = graph.load(file)
    graph.attach(model, recipe.steps, recipe.pixels, layout="NCHW")
    graph.save(model, folder / "ours.onnx")
    return Written(folder / "ours.onnx")


def without_channel(half: Written, folder: Path) -> Written | None:
    """A file of ours in half precision whose appended channel is in the bias instead: what the fold would be without it. None where there
    is none."""
    model = onnx.load(half.file)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    weight = numpy_helper.to_array(held[conv.input[1]]).copy()
    made, pad = {node.output[0]: node for node in model.graph.node}, conv
    while pad is not None and pad.op_type != "Pad":
        pad = made.get(pad.input[0])
    if pad is None:
        return None
    constant = numpy_helper.to_array(held[pad.input[2]]).astype(np.float64)
    moved = numpy_helper.to_array(held[conv.input[2]]) + constant * weight[:, -1].astype(np.float64).sum((1, 2))
    weight[:, -1] = 0
    for name, values in ((conv.input[1], weight), (conv.input[2], moved.astype(np.float16))):
        held[name].CopyFrom(numpy_helper.from_array(values, name))
    onnx.save(model, folder / "no-channel.onnx")
    return Written(folder / "no-channel.onnx")


def ours_in_half(network: Network, folder: Path) -> tuple[Written, nn.Module]:
    """What `precision = "float16"` writes, but for the contract: the .onnx file, and the module that TorchScript is made of."""
    model = prepend(pipeline(network), network.module)
    job = job_of(model, ("onnx",), {"example": network.example, "name": "m"}, silent, precision="float16")
    half, recipe = exported(job, silent), job.recipe
    assert half is not None
    assert job.written is not None
    wide = export_backbone(job.written.module, job.ready, outputs=["logits"], opset=recipe.export.opset, size=network.size)
    graph.attach(half, recipe.steps, recipe.pixels, layout="NCHW", wide=wide)
    graph.save(half, folder / "ours-half.onnx")
    return Written(folder / "ours-half.onnx"), fold_module(recipe, job.written.module, job.pixels).model


def half_in_torch(network: Network) -> nn.Module:
    """torch's own .half() of everything."""
    import copy

    return copy.deepcopy(Unfolded(network)).half().eval()


def half_of_torch(network: Network, folder: Path) -> Written:
    """The same, exported by torch."""
    free = ({0: torch.export.Dim("batch")},)
    program = torch.onnx.export(
        half_in_torch(network), (network.example,), dynamo=True, dynamic_shapes=free, opset_version=18, verbose=False
    )
    program.save(str(folder / "torch-half.onnx"))
    return Written(folder / "torch-half.onnx")


def half_of_converter(unfolded: Path, folder: Path) -> Written | None:
    """By onnxconverter-common; None where it is not installed. It leaves a Cast's `to` as it is, and ONNX Runtime refuses such a file: so
    the Cast of the pixels is blocked, and what it makes is cast once more."""
    if importlib.util.find_spec(CONVERTER) is None:
        return None
    float16 = importlib.import_module(f"{CONVERTER}.float16")
    blocked = [*float16.DEFAULT_OP_BLOCK_LIST, "Cast"]
    onnx.save(float16.convert_float_to_float16(onnx.load(unfolded), op_block_list=blocked), folder / "converter.onnx")
    return Written(folder / "converter.onnx")


def ours_in_eight(network: Network, file: Path, pictures: Path, folder: Path, *, per_channel: bool, border: str = "exact") -> Written:
    """What `preproc quantize` writes, but for the contract."""
    recipe = job_of(prepend(pipeline(network), network.module), ("onnx",), {"example": network.example, "name": "m"}, silent).recipe
    eight_asked = Quantization(pictures, per_channel=per_channel, border=border)
    eight = Eight(eight_asked, calibrated_with(pictures, recipe))
    model = graph.load(file)
    done = graph.attach(model, recipe.steps, recipe.pixels, eight=eight_asked.form)
    made = folder / f"ours-int8-{per_channel}-{border}.onnx"
    graph.save(in_eight_bits(model, recipe, eight, done)[0], made)
    return Written(made)


class Reader:
    """A CalibrationDataReader."""

    def __init__(self, feeds: Iterator[dict[str, NDArray[Any]]]) -> None:
        self.feeds = feeds

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self.feeds, None)


def eight_of_onnxruntime(file: Written, pictures: Pixels, folder: Path, *, per_channel: bool) -> Written:
    """By quantize_static behind quant_pre_process, as ONNX Runtime's guide has it. per_channel: with our dtypes, and a scale for each
    output channel; else with its defaults."""
    onnxruntime()
    own = importlib.import_module("onnxruntime.quantization")
    prepared, made = folder / f"{file.file.stem}-prepared.onnx", folder / f"{file.file.stem}-int8-{per_channel}.onnx"
    importlib.import_module("onnxruntime.quantization.shape_inference").quant_pre_process(
        str(file.file), str(prepared), skip_symbolic_shape=True
    )
    (name,) = graph.declared_inputs(prepared)
    kind = {"activation_type": own.QuantType.QUInt8, "weight_type": own.QuantType.QUInt8, "extra_options": {"WeightSymmetric": True}}
    reader = Reader({name: file.prepare(picture[None])} for picture in pictures)
    own.quantize_static(str(prepared), str(made), reader, **({"per_channel": True} | kind if per_channel else {}))
    return Written(made, file.prepare)
