"""A model as one AOTInductor package: torch.export's program, compiled for one kind of processor or CUDA device, its weights inside."""

import errno
import io
import os
import shlex
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor
from torch.export.passes import move_to_device_pass

from ...errors import PreprocError, shortened
from ...folding.modules import reason, unheard
from ...host import level_of, targets
from ...steps import Sides
from .archives import repack
from .dynamic import time_limit

SETTINGS = {
    "cpp.dynamic_threads": True,  # as many run as the machine that loads it says: OMP_NUM_THREADS, torch.set_num_threads
    "cpp.threads": 8,  # that loops are cut for, whatever this machine has
    "aot_inductor.precompile_headers": False,  # which pays from the second compilation on
    "aot_inductor.model_name_for_generated_files": "model",
}
SECONDS = 600.0
"""How long a compilation for free sides may take: what torch's compiler asks of sums and products of sizes may not end in hours."""
AVX2 = {"cpp.simdlen": 256, "cpp.vec_isa_ok": True}
"""torch's own kernels for the level x86-64-v3, without asking this machine whether they run here: that is verified."""
CHECKS = (
    's/getenv("AOTI_RUNTIME_CHECK_INPUTS")/"1"/',
    r"s/if ([a-z0-9_]*_size\[[0-9]*\] [<>] [0-9]*)/if (false)/",
    r"s/if (\([0-9]*\) != \([a-z0-9_]*\)_stride\[\([0-9]*\)\])/if (\1 != \2_stride[\3] \&\& \2_size[\3] != 1)/",
)
"""For sed. What torch compiles looks at its input only where that variable is set: else floats, or pixels of another size, are read as if
they were what they are not, beyond their end, too. Ours always looks; but not whether a batch is as large as those that torch has thought
of, from 2 on, nor at the stride of a batch of one, which NumPy's [None] makes 0."""
SOURCE = b"// compiled: the library of this name\n"
"""In place of the sources, which name this machine's folders. Older torch finds the metadata by a file of this kind."""


ATEN = torch.ops.aten


def compile_aoti(
    program: torch.export.ExportedProgram,
    example: Tensor,
    path: Path,
    *,
    size: Sides,
    compiler: str,
    promised: Mapping[str, Any],
    metadata: Mapping[str, str],
) -> None:
    """Writes `path`, for AOTIModelPackageLoader in Python and C++. What is made on the way, caches among it, is gone then; an empty
    folder torchinductor_USER, which torch makes where it is imported, stays in the temporary folder.

    program, size: export_program()'s.  example: as its own.  compiler: a command.  promised: the device and the instructions that it is
    compiled for, as compiled_for() has them.  metadata: what get_metadata() answers.  Raises PreprocError with the compiler's reason,
    or with the temporary folder where nothing more can be written there.
    """
    from torch import _inductor  # a second, which no other format needs
    from torch._inductor.utils import fresh_cache

    device = promised["device"]
    moved = program.run_decompositions(EXACT | PIXELS) if device == "cpu" else move_to_device_pass(program, device)
    moved._example_inputs = ((example.to(device),), {})
    package, temporary = io.BytesIO(), Path(tempfile.gettempdir()) / "preproc"
    with targets.writing(temporary), tempfile.TemporaryDirectory(prefix="preproc-") as folder:
        own = _compiler(Path(folder), compiler, promised)
        settings = SETTINGS | (AVX2 if promised["cpu"] != "native" else {}) | {"cpp.cxx": (None, str(own))}
        known = {name: value for name, value in settings.items() if name in _inductor.list_options()}
        try:
            limit = time_limit(SECONDS if None in size else None)
            with torch.no_grad(), warnings.catch_warnings(), unheard(), limit, fresh_cache(dir=folder):
                warnings.simplefilter("ignore")
                _inductor.aoti_compile_and_package(
                    moved, package_path=package, inductor_configs=known | {"aot_inductor.metadata": dict(metadata)}
                )
        except TimeoutError as error:
            raise PreprocError(
                f"expected a model that AOTInductor can compile, got no result after {SECONDS:g} seconds, for pictures of any size; fix "
                "[pixels] size, or take onnx or pt2, which have such sizes",
                name="not-exportable",
            ) from error
        except OSError:  # a full disk
            raise
        except Exception as error:  # torch raises whatever the model's code and the compiler meet
            if os.strerror(errno.ENOSPC) in str(error):  # the compiler's words
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise PreprocError(
                f"expected a model that AOTInductor can compile, got: {_told(error)}; the format pt2 holds it as torch.export reads it",
                name="not-exportable",
            ) from error
    repack(package, path, *_contents(package))


def _mean(x: Tensor, dim: Any, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    return NotImplemented if _is_exact(x, dtype) else torch.mean(x.double(), dim, keepdim).float()


def _sum(x: Tensor, dim: Any, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    return NotImplemented if _is_exact(x, dtype) else torch.sum(x.double(), dim, keepdim).float()


def _pool(x: Tensor, size: Any) -> Any:
    return NotImplemented if _is_exact(x, None) or list(size) != [1, 1] else _mean(x, (-2, -1), True)


def _cast(x: Tensor, *, dtype: torch.dtype | None = None, **others: Any) -> Any:
    colours = x.shape[-1] if x.dim() == 4 else 1
    is_short = isinstance(colours, int) and colours in FEW  # a width that is free is none of these
    if x.dtype != torch.uint8 or dtype != torch.float32 or not is_short:
        return NotImplemented
    return ATEN._to_copy(x.to(torch.int16), dtype=dtype, **others)


def _is_exact(x: Tensor, dtype: torch.dtype | None) -> bool:
    return x.dtype != torch.float32 or dtype is not None


EXACT = {ATEN.mean.dim: _mean, ATEN.sum.dim_IntList: _sum, ATEN.adaptive_avg_pool2d.default: _pool}
"""Sums over a picture on a CPU are made in float64: torch's compiler adds number to number, of which a flat picture of 160x112 gets 4e-5
wrong in float32."""
FEW = range(2, 8)
PIXELS = {ATEN._to_copy.default: _cast}
"""Colours that lie beside each other in memory, (N, H, W, C), are cast by way of int16, which torch's compiler makes no vectors of. Else
it has one for each pixel, three of eight numbers full, which AVX2 is slower at than number after number; `python -m tests.bench formats`
has a folded network beside the bare one."""


def _compiler(folder: Path, command: str, promised: Mapping[str, Any]) -> Path:
    """A program in `folder` that is the compiler for those instructions: torch asks for this machine's own, and the last flag counts. What
    it makes does not name its folders: the same sources give the same bytes."""
    flags = [] if promised["cpu"] == "native" else [f"-march={promised['cpu']}"]
    flags += ["-g0", f"-ffile-prefix-map={Path(torch.__file__).parent.parent}=."]
    level = level_of(promised["instructions"])
    flags += [f"-Wl,-z,{level}"] if level else []  # Linux then refuses to load it where these are missing, whoever asks
    edits = [word for edit in CHECKS for word in ("-e", edit)]
    program = folder / "g++"
    program.write_text(
        "#!/bin/sh\n"
        'for given in "$@"; do\n'
        f'  case "$given" in "$TORCHINDUCTOR_CACHE_DIR"/*.cpp) sed -i {shlex.join(edits)} "$given" ;; esac\n'
        "done\n"
        f'exec {command} "$@" {shlex.join(flags)} -ffile-prefix-map="$TORCHINDUCTOR_CACHE_DIR"=.\n'
    )
    program.chmod(0o700)
    return program


def _contents(package: io.BytesIO) -> tuple[Any, Mapping[str, bytes]]:
    """Which records of torch's package are kept, and what is added: no sources, and the metadata of the libraries alone."""
    with zipfile.ZipFile(package) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    libraries = {str(PurePosixPath(name).with_suffix("")) for name in names if name.endswith(".so")}
    sources = {name for name in names if name.endswith(".cpp")}
    others = {name for name in names if name.endswith("_metadata.json") and name.removesuffix("_metadata.json") not in libraries}
    added = {name: SOURCE for name in sources if name.removesuffix(".cpp") in libraries}
    return lambda name: name not in sources | others, added


def _told(error: Exception) -> str:
    """The compiler's first error, where it is one of its own."""
    lines = str(error).splitlines()
    found = next((line.partition("error: ")[2] for line in lines if "error: " in line), None)
    return reason(error) if found is None else f"its C++ compiler: {shortened(found)}"
