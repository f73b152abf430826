"""The original .onnx file in ONNX Runtime: what a file is compared with, in its own precision."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError, first_line
from ...host import memory
from .named import is_compared, named
from .ort import onnxruntime, options_of


class OnnxReference:
    """The original ONNX file in ONNX Runtime on the CPU, fed with floats: the reference where a backbone is a file.

    It computes in the file's own precision: verify.known_of() says what that is worth.

    model: the file, or an edited one in memory whose weights in other files are in `folder`.  names: of the outputs that are wanted.
    image: the input that takes the picture.  laid_out: makes of (N, C, H, W) values the axes which that has; None: they are its own.
    others: the further inputs' values beside that.  untouched: as verify.Truth's.
    optimized: whether ONNX Runtime may rewrite the graph.
    """

    per_picture = False
    mixed = frozenset[str]()

    def __init__(
        self,
        model: Path | bytes,
        names: Sequence[str],
        *,
        image: str,
        laid_out: Callable[[NDArray[Any]], NDArray[Any]] = lambda ready: ready,
        others: Callable[[NDArray[Any]], Mapping[str, NDArray[Any]]] = lambda _: {},
        untouched: frozenset[str] = frozenset(),
        folder: Path | None = None,
        optimized: bool = True,
    ) -> None:
        ort = onnxruntime()
        options = options_of(ort)
        if not optimized:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4  # a picture that it refuses is said by what is raised
        if folder is not None:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
        try:
            source = model if isinstance(model, bytes) else str(model)
            self.session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"], enable_fallback=0)
            memory.trim(len(model) if isinstance(model, bytes) else model.stat().st_size)
        except Exception as error:  # onnxruntime's error classes are not exported; every one means the file cannot be run
            raise PreprocError(
                f"expected a model that ONNX Runtime can run, got: {first_line(error)}", name="runtime-refuses-file"
            ) from error
        self.names, self.image, self.others, self.untouched = tuple(names), image, others, untouched
        self.laid_out = laid_out
        (taken,) = [value for value in self.session.get_inputs() if value.name == image]
        if taken.type == "tensor(bfloat16)":
            raise PreprocError(
                f"expected an input that ONNX Runtime takes from NumPy, got {image} in bfloat16; let the file take float32 and cast it",
                name="runtime-refuses-file",
            )
        self.free = not isinstance(taken.shape[0], int)
        self.kind = np.dtype({"float": "float32", "double": "float64"}.get(word := taken.type[7:-1], word))
        for output in (output for output in self.session.get_outputs() if output.name in names):
            if not is_compared(output.type):
                raise PreprocError(
                    "expected outputs that are arrays of floats, integers, booleans or strings, sequences of these or maps, got "
                    f"{output.name}: {output.type}; cut the model before it, or name the other outputs only in a recipe",
                    name="output-unfit",
                )
            alike = [name for name in names if not output.type.startswith("tensor") and name.startswith(f"{output.name}[")]
            if alike:
                raise PreprocError(
                    f"expected outputs whose names tell them from the parts of {output.name}, got {alike[0]}; rename it",
                    name="output-unfit",
                )
            if "map(" in output.type:  # a ZipMap's are its own
                self.untouched |= {f"{output.name}[keys]"}

    def feeds(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """All inputs, for x: (N, C, H, W), the model's batch, whose dtype the picture keeps."""
        return {self.image: self.laid_out(x), **self.others(x)}

    def __call__(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """x: as feeds() takes it."""
        feeds = self.feeds(x)
        batch = feeds[self.image]
        try:
            outputs: list[Any] = self.session.run(list(self.names), feeds | {self.image: batch.astype(self.kind)})
        except Exception as error:  # as above
            mend = (
                "its batch is declared as free, and is not"
                if self.free and batch.ndim > 3 and len(batch) > 1
                else "write the size that it takes"
            )
            raise PreprocError(
                f"expected a model that takes pictures of shape {batch.shape}, got: {first_line(error)}; {mend}",
                name="network-refuses-picture",
            ) from error
        found = named(self.names, outputs)
        return {name: values.astype(np.float64) if values.dtype.kind == "f" else values for name, values in found.items()}
