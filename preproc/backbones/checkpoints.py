"""Checkpoints as people save them: the network's tensors in a table of tables, under the prefixes of what wrapped it, beside averages of
them, other networks and an optimizer's. What fits the network by its names is taken, and said; where several do, the recipe says which."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from torch import Tensor

from ..checks import did_you_mean
from ..errors import RecipeError
from ._base import State

WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""What torch.compile, FSDP and checkpointing write into names, wherever the module stands."""
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Heads for training only, which a network may be made without."""
DEEPEST = 4
"""How many tables may lie in one another."""


@dataclass(frozen=True)
class Found:
    """A state_dict by the network's names.  table: where it lies, "" for the file itself; of tables in tables the names, joined by "/".
    prefix: what its names had in front.  beside: how many tensors of that table have another prefix.  wrapped: whether wrappers' words were
    left out."""

    state: State
    table: str
    prefix: str = ""
    beside: int = 0
    wrapped: bool = False

    @property
    def key(self) -> str:
        return "/".join(filter(None, (self.table, self.prefix.removesuffix("."))))

    def __str__(self) -> str:
        told = [f"its {self.table!r}"] if self.table else []
        told += [f"without the prefix {self.prefix!r}"] if self.prefix else []
        told += ["without wrappers' names"] if self.wrapped else []
        told += [f"beside {self.beside} tensors of others"] if self.beside else []
        return ", ".join(told)


def find(loaded: object, names: AbstractSet[str], key: str | None, where: str) -> Found:
    """The one table of tensors in a loaded checkpoint that fits a network with these names in its state_dict.

    key: [backbone] checkpoint_key, which one is meant.  where: the file, for errors.
    Where none fits, the one that comes nearest, for whoever loads it to say what is wrong. Raises RecipeError if several fit, if `key` is
    none of them, or if there are no tensors.
    """
    tables = list(_tables(loaded))
    if not tables:
        raise RecipeError(f"{where}: expected a state_dict, a table of names and tensors, got {type(loaded).__name__}")
    fitting = [found for table, state in tables for found in _fitting(table, state, names)]
    known = fitting or [_plain(table, state) for table, state in tables]
    chosen = [found for found in known if key is None or found.key == key or f"{found.key}/".startswith(f"{key}/")]
    if not chosen:
        keys = _keys(known)
        raise RecipeError(
            f"{where}: expected [backbone] checkpoint_key to be one of {', '.join(keys)}, got {key!r}{did_you_mean(str(key), keys)}"
        )
    if len(chosen) > 1 and fitting:
        listed = " or ".join(f'"{name}"' for name in _keys(chosen))
        raise RecipeError(
            f"{where}: expected one state_dict that fits the network, got several; write checkpoint_key = {listed} under [backbone]"
        )
    return max(chosen, key=lambda found: len(found.state.keys() & names))


def _keys(several: Sequence[Found]) -> list[str]:
    """The shortest words that tell them apart."""
    tables = [found.table for found in several]
    return tables if len(set(tables)) == len(tables) and "" not in tables else [found.key or "nothing" for found in several]


def _tables(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, State]]:
    if not isinstance(value, Mapping) or len(path) > DEEPEST:
        return
    state = {name: tensor for name, tensor in value.items() if isinstance(name, str) and isinstance(tensor, Tensor)}
    if state:
        yield "/".join(path), state
    for name, inner in value.items():
        yield from _tables(inner, (*path, str(name)))


def _plain(table: str, state: State) -> Found:
    bare = {_unwrapped(name): tensor for name, tensor in state.items()}
    return Found(bare, table, wrapped=True) if len(bare) == len(state) and bare.keys() != state.keys() else Found(state, table)


def _fitting(table: str, state: State, names: AbstractSet[str]) -> Iterator[Found]:
    """What of a table has just the network's names, behind one prefix."""
    plain = _plain(table, state)
    needed = {name for name in names if not name.endswith("num_batches_tracked")}  # older files have none
    first = min(needed, default="")
    prefixes = {name.removesuffix(first) for name in plain.state if first and name.endswith(first)}
    for prefix in sorted(prefixes):
        inner = {name.removeprefix(prefix): tensor for name, tensor in plain.state.items() if name.startswith(prefix)}
        more = {name for name in inner.keys() - names if not name.startswith(AUXILIARY)}
        if needed <= inner.keys() and not more and (not prefix or prefix.endswith(".")):
            yield Found(inner, table, prefix, len(plain.state) - len(inner), plain.wrapped)


def _unwrapped(name: str) -> str:
    for word in WRAPPERS:
        name = name.replace(word, "")
    return name
