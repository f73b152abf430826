"""Every node that graph/ writes has a kernel in ONNX Runtime's CUDA provider, by its own list of them: cuda_kernels.json. Needs no GPU."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph, steps
from preproc.errors import PreprocError
from preproc.graph.pixels import quantize_pixels
from preproc.sources import PixelsSpec
from preproc.steps import (
    CenterCrop,
    FromPixels,
    Letterbox,
    Rescale,
    Resize,
)
from preproc.verify.runtimes import onnxruntime
from tests.conftest import ROOT
from tests.graph.forms import FORMS
from tests.graph.quantizing import appended
from tests.onnx_files import STEPS, alone, hand_made

TABLE = json.loads((ROOT / "tests" / "cuda_kernels.json").read_text())["kernels"]
SHAPES = ("int64", "bool")
"""What arithmetic on sizes and positions may be of, on the CPU too: ONNX Runtime itself puts it there."""


@dataclass(frozen=True)
class Node:
    """types: of its formal parameters and type parameters, by name.  on_picture: whether it reads values of the pixels."""

    proto: onnx.NodeProto
    since: int
    types: dict[str, set[str]]
    made: set[str]
    on_picture: bool

    @property
    def settings(self) -> dict[str, Any]:
        return {attribute.name: helper.get_attribute_value(attribute) for attribute in self.proto.attribute}

    def __str__(self) -> str:
        return f"{self.proto.op_type} {self.proto.name!r}, opset {self.since}, {self.types}"


@dataclass(frozen=True)
class Gap:
    """Where a kernel is listed, and does not do."""

    operator: str
    applies: Callable[[Node], bool]
    reason: str


def _antialiased(node: Node) -> bool:
    return bool(node.settings.get("antialias"))


def _axes(node: Node) -> list[int]:
    """What it resizes, as it says; of one that says a scale for each axis, as graph/video.py writes it, height and width alone."""
    return list(node.settings.get("axes", [2, 3] if not _antialiased(node) else []))


INTEGERS = {"uint8", "int8", "int32"}
GAPS = (
    Gap(
        "Resize",
        lambda node: _axes(node) != [2, 3],
        "of axes other than height and width of (N, C, H, W): 'NHWC antialias resize is not supported for 8-bit integer types on CUDA', "
        "when it runs; providers before 1.31 have none at all",
    ),
    Gap(
        "Resize",
        lambda node: _antialiased(node) and node.settings["mode"] == b"linear" and bool(node.types["X"] & INTEGERS),
        "bilinear on integers: its first pass is launched for as many values as the second one makes, and keeps one picture of the batch: "
        "wrong where it makes pictures lower, and an illegal memory access with several (the launches of 1.31.1; onnxruntime #25264)",
    ),
)


def nodes(model: onnx.ModelProto, picture: str = "pixels") -> Iterator[Node]:
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    made = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*made.input, *made.output, *made.value_info)}
    kinds |= {tensor.name: tensor.data_type for tensor in made.initializer}
    names = {
        name: helper.tensor_dtype_to_np_dtype(kind).name if kind != TensorProto.BFLOAT16 else "bfloat16" for name, kind in kinds.items()
    }
    names = {name: {"float32": "float", "float64": "double"}.get(kind, kind) for name, kind in names.items()}
    pictures = {picture}
    for node in made.node:
        schema = onnx.defs.get_schema(node.op_type, opset)
        types: dict[str, set[str]] = {}
        for formals, actual in ((schema.inputs, node.input), (schema.outputs, node.output)):
            for position, name in enumerate(actual):
                formal = formals[min(position, len(formals) - 1)]
                for key in (formal.name, formal.type_str) if name else ():
                    types.setdefault(key, set()).add(names[name])
        on_picture = node.op_type != "Shape" and any(name in pictures for name in node.input)
        pictures |= set(node.output) if on_picture else set()
        yield Node(node, schema.since_version, types, {names[name] for name in node.output}, on_picture)


def has_kernel(node: Node) -> bool:
    """By ONNX Runtime's rule: a kernel without a last opset serves none in which the operator has changed since."""
    for first, last, constraints in TABLE.get(node.proto.op_type, ()):
        fits = first == node.since or (first < node.since and last is not None and node.since <= last)
        if fits and all(node.types.get(name, set()) <= set(kinds) for name, kinds in constraints.items()):
            return True
    return False


def strays(known: Iterable[Node], prefix: str = "") -> list[str]:
    """The nodes without a kernel that must have one, each with the reason: all but int64 and bool that no value of a picture is in, which
    is what verify lets pass on the CPU."""
    found = []
    for node in known:
        if not node.proto.name.startswith(prefix) or (not node.on_picture and node.made <= set(SHAPES)):
            continue
        found += [] if has_kernel(node) else [f"no kernel: {node}"]
        found += [f"{gap.reason}: {node}" for gap in GAPS if gap.operator == node.proto.op_type and gap.applies(node)]
    return found


def shape_arithmetic(known: Iterable[Node]) -> set[str]:
    """The operators that are excused and have no kernel."""
    return {node.proto.op_type for node in known if not node.on_picture and node.made <= set(SHAPES) and not has_kernel(node)}


OPSETS = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26)
"""Those at which an operator that preproc writes has changed: a test compares. Up to ONNX Runtime 1.31's."""
DTYPES = {"float32": ir.DataType.FLOAT, "float64": ir.DataType.DOUBLE}


def files(name: str) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Every file of one step: form, layout, size fixed and free, dtype, opset; those that the builder refuses left out. The second fixed
    size, whose passes have the other order, and NCHW with float64 at one opset only, but for what is most common."""
    for form in FORMS[name]:
        geometry = isinstance(form[0], steps.Geometry)
        for layout, size in itertools.product(("NHWC", "NCHW"), (None, (20, 26), (70, 16))) if geometry else ((None, None),):
            sequence = [FromPixels(layout=layout), *form] if layout else form
            for kind, dtype in DTYPES.items():
                usual = [layout in (None, "NHWC"), kind == "float32", size != (70, 16)]
                for opset in OPSETS if sum(usual) >= 2 else (18,):
                    try:
                        made = alone(sequence, size=size, opset=opset, dtype=dtype)
                    except PreprocError:
                        continue
                    yield f"{[str(step) for step in sequence]} {size or 'free'} {kind} opset {opset}", onnx.load_from_string(made)


def test_every_step_has_its_forms_here():
    assert set(FORMS) == set(steps.STEPS)


@pytest.mark.parametrize("name", FORMS)
def test_every_node_has_a_kernel(name):
    count = 0
    for case, model in files(name):
        known = list(nodes(model))
        assert not strays(known), case
        assert shape_arithmetic(known) <= EXCUSED, case
        assert {node.since for node in known} <= set(OPSETS) | set(range(7)), case
        count += 1
    assert count >= len(FORMS[name]) * 8


EXCUSED: set[str] = set()
"""The operators of shape arithmetic without a kernel, as shown by the rule above: none."""


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.DOUBLE])
@pytest.mark.parametrize("opset", [11, 13, 18, 21])
@pytest.mark.parametrize(("form", "fold"), [("cast", "auto"), ("subtract", "auto"), ("append", "auto"), (None, "off")])
def test_folded_files_have_them_too(tmp_path, form, fold, opset, dtype):
    """As attach writes them: the weights take the constants up, and something is left."""
    color, ends = ("GRAY" if form == "append" else "BGR"), (() if form == "cast" else STEPS)
    channels = 1 if form == "append" else 3
    model = graph.load(hand_made(tmp_path, opset=opset, dtype=dtype))
    moving = [CenterCrop(size=(24, 20))]
    done = graph.attach(
        model,
        [FromPixels(layout="NHWC", color=color, to="RGB"), *moving, *ends],
        PixelsSpec(layout="NHWC", color=color, dtype="uint8", size=(30, 16), channels=channels),
        fold=fold,
    )
    assert done.form == form, done.reason
    graph.save(model, tmp_path / "out.onnx")
    made = onnx.load(tmp_path / "out.onnx")
    kinds = [node.op_type for node in made.graph.node if node.name.startswith("preproc/")]
    assert "Pad" in kinds
    assert not strays(nodes(made), "preproc/")


@pytest.mark.parametrize("opset", [13, 18, 21])
def test_a_channel_beside_pixels_that_are_the_quantized_tensor_has_them_too(tmp_path, opset):
    model = graph.load(appended(tmp_path / "m.onnx", opset=opset))
    quantize_pixels(graph.any_picture(model, "pixels", "NHWC"), 3)
    graph.save(model, tmp_path / "out.onnx")
    made = list(nodes(onnx.load(tmp_path / "out.onnx")))
    assert {"Slice", "Expand", "Concat"} <= {node.proto.op_type for node in made if node.made == {"uint8"}}
    assert not strays(made)


def small(node, kind, *, opset=18, constants=()):
    """A file of one node on pixels."""
    tensors = [numpy_helper.from_array(array, name) for name, array in constants]
    made = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("pixels", kind, ["N", 9, 9, 3])],
        [helper.make_tensor_value_info("y", kind, ["N", "a", "b", "c"])],
        tensors,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def resize(mode, axes):
    settings = {"mode": mode, "antialias": 1, "exclude_outside": 1, "axes": axes}
    return helper.make_node("Resize", ["pixels", "", "", "sizes"], ["y"], name="x", **settings)


SIZES = [("sizes", ir.tensor([4, 5], dtype=ir.DataType.INT64).numpy())]
PADS = [("pads", ir.tensor([0, 1, 1, 0, 0, 1, 1, 0], dtype=ir.DataType.INT64).numpy())]
U8, F32, F64 = TensorProto.UINT8, TensorProto.FLOAT, TensorProto.DOUBLE


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (small(helper.make_node("Pad", ["pixels", "pads"], ["y"], name="x"), U8, constants=PADS), "no kernel: Pad 'x'"),
        (small(helper.make_node("Pad", ["pixels", "pads"], ["y"], name="x"), F32, constants=PADS), None),
        (small(helper.make_node("Relu", ["pixels"], ["y"], name="x"), TensorProto.INT32), "no kernel: Relu 'x', opset 14"),
        (small(helper.make_node("Add", ["pixels", "pixels"], ["y"], name="x"), U8, opset=14), None),
        (small(helper.make_node("Clip", ["pixels"], ["y"], name="x"), F64, opset=11), "no kernel: Clip"),
        (small(helper.make_node("Asinh", ["pixels"], ["y"], name="x"), F32), "no kernel: Asinh"),
        (small(resize("cubic", [1, 2]), U8, constants=SIZES), "NHWC antialias"),
        (small(resize("linear", [2, 3]), U8, constants=SIZES), "illegal memory access"),
        (small(resize("cubic", [2, 3]), U8, constants=SIZES), None),
        (small(resize("linear", [2, 3]), F32, constants=SIZES), None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_node_without_a_kernel_is_found(model, says):
    found = strays(nodes(model))
    assert len(found) == (says is not None)
    assert says is None or says in found[0]


def test_a_picture_is_no_shape_arithmetic_whatever_its_type():
    """ReduceProd of int64 has no kernel: of a size it may be on the CPU, of a picture it must not."""
    cast = helper.make_node("Cast", ["pixels"], ["levels"], name="cast", to=TensorProto.INT64)
    shape = helper.make_node("Shape", ["pixels"], ["size"], name="shape")
    ends = [helper.make_node("ReduceProd", [name], [f"{name}_e"], name=f"of {name}") for name in ("levels", "size")]
    outputs = [helper.make_tensor_value_info(f"{name}_e", TensorProto.INT64, [1]) for name in ("levels", "size")]
    made = helper.make_graph([cast, shape, *ends], "two", [helper.make_tensor_value_info("pixels", U8, [5])], outputs)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (stray,) = strays(nodes(model))
    assert "no kernel: ReduceProd 'of levels'" in stray
    assert shape_arithmetic(nodes(model)) == {"ReduceProd"}


def test_a_kernel_without_a_last_opset_ends_where_its_operator_changes(monkeypatch):
    model = small(helper.make_node("Relu", ["pixels"], ["y"], name="x"), F32)
    for first, last, fits in ((14, None, True), (13, None, False), (13, 14, True), (6, 13, False)):
        monkeypatch.setitem(TABLE, "Relu", [[first, last, {"T": ["float"]}]])
        assert (not strays(nodes(model))) == fits


def test_a_step_that_is_not_here_fails(monkeypatch):
    monkeypatch.setattr(steps, "STEPS", {**steps.STEPS, "blur": Rescale})
    with pytest.raises(AssertionError):
        test_every_step_has_its_forms_here()


@pytest.mark.parametrize("batch", ["N", 1, 2])
@pytest.mark.parametrize("size", [None, (20, 26), (70, 16)])
@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_the_planes_load_on_a_cpu_at_every_level_of_optimization(batch, size, level):
    """A Transpose to (N, C, H, W) in front of a Resize would not: the optimizer exchanges them and forgets the axes."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    for opset in (18, 19, 21, 23):
        for form in ([Resize(size=8)], [Resize(size=8, interpolation="bicubic")], [Letterbox(size=24), Resize(size=(7, 6))]):
            made = alone([FromPixels(layout="NHWC"), *form], size=size, opset=opset, batch=batch)
            ort.InferenceSession(made, options, providers=["CPUExecutionProvider"])
