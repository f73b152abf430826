"""Checkpoints as people save them: the network's tensors in a table of tables, under the prefixes of what wrapped it, beside averages of
them, other networks and an optimizer's. What fits the network by its names is taken, and said; where several do, the recipe says which."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from torch import Tensor

from ...errors import RecipeError, did_you_mean
from .base import State

WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""What torch.compile, FSDP and checkpointing write into names, wherever the module stands."""
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Heads for training only, which a network may be made without."""
NOTHING = "nothing"
"""The key of a network that lies in no table and behind no prefix."""
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
        return "/".join(filter(None, (self.table, self.prefix.removesuffix(".")))) or NOTHING

    def __str__(self) -> str:
        told = [f"its {self.table!r}"] if self.table else []
        told += [f"without the prefix {self.prefix!r}"] if self.prefix else []
        told += ["without wrappers' names"] if self.wrapped else []
        told += [f"beside {self.beside} tensors of others"] if self.beside else []
        return ", ".join(told)

    def without(self, others: Iterable["Found"]) -> "Found":
        """What of its names is not another one's: of a network that lies beside its own average."""
        theirs = [other.prefix.removeprefix(self.prefix) for other in others if other.table == self.table and other.prefix != self.prefix]
        inner = tuple(prefix for prefix in theirs if prefix)
        state = {name: tensor for name, tensor in self.state.items() if not name.startswith(inner)} if inner else self.state
        return replace(self, state=state, beside=self.beside + len(self.state) - len(state))


def find(loaded: object, names: AbstractSet[str], key: str | None, where: str) -> Found:
    """The one table of tensors in a loaded checkpoint that has all names of a network's state_dict.

    key: [backbone] checkpoint_key, which one is meant.  where: the file, for errors.
    It may have more names, which whoever loads it refuses. Where none has all, the one that comes nearest, for the same reason. Raises
    RecipeError if several have, if `key` is none of them, or if there are no tensors.
    """
    tables = list(_tables(loaded))
    if not tables:
        raise RecipeError(
            f"{where}: expected a state_dict, a table of names and tensors, got {type(loaded).__name__}", name="weights-unreadable"
        )
    own = {_unwrapped(name): name for name in names}
    if len(own) < len(names):  # names that only a wrapper tells apart
        own = {name: name for name in names}
    whole = [found for table, state in tables for found in _whole(table, state, own)]
    known = whole or [_plain(table, state, own) for table, state in tables]
    words = _words(known)
    exact = [found for found, word in zip(known, words, strict=True) if key in (None, word, found.key)]
    chosen = exact or [found for found in known if f"{found.key}/".startswith(f"{key}/")]
    if not chosen:
        raise RecipeError(
            f"{where}: expected [backbone] checkpoint_key to be one of {', '.join(words)}, got {key!r}{did_you_mean(str(key), words)}",
            name="several-networks",
        )
    if len(chosen) > 1 and whole:
        listed = " or ".join(f'"{word}"' for word in _words(chosen))
        raise RecipeError(
            f"{where}: expected one state_dict that fits the network, got several; write checkpoint_key = {listed} under [backbone]",
            name="several-networks",
        )
    nearest = max(chosen, key=lambda found: len(found.state.keys() & names))
    return nearest.without(whole)


def _words(several: Sequence[Found]) -> list[str]:
    """The shortest that tell them apart."""
    tables = [found.table for found in several]
    return tables if len(set(tables)) == len(tables) and "" not in tables else [found.key for found in several]


def _tables(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, State]]:
    if not isinstance(value, Mapping) or len(path) > DEEPEST:
        return
    state = {name: tensor for name, tensor in value.items() if isinstance(name, str) and isinstance(tensor, Tensor)}
    if state:
        yield "/".join(path), state
    for name, inner in value.items():
        yield from _tables(inner, (*path, str(name)))


def _plain(table: str, state: State, own: Mapping[str, str]) -> Found:
    """Without wrappers' words, but for those that the network itself has. own: its names without them, and as they are."""
    bare = {_unwrapped(name): tensor for name, tensor in state.items()}
    if len(bare) < len(state):
        return Found(state, table)
    return Found(bare, table, wrapped=bare.keys() != state.keys() and all(name == whole for name, whole in own.items()))


def _whole(table: str, state: State, own: Mapping[str, str]) -> Iterator[Found]:
    """What of a table has all the network's names, behind one prefix."""
    plain = _plain(table, state, own)
    needed = {name for name in own if not name.endswith("num_batches_tracked")}  # older files have none
    first = min(needed, default="")
    prefixes = {name.removesuffix(first) for name in plain.state if first and name.endswith(first)}
    for prefix in sorted(prefixes):
        inner = {name.removeprefix(prefix): tensor for name, tensor in plain.state.items() if name.startswith(prefix)}
        if needed <= inner.keys() and (not prefix or prefix.endswith(".")):
            named = {own.get(name, name): tensor for name, tensor in inner.items()}
            yield Found(named, table, prefix, len(plain.state) - len(inner), plain.wrapped)


def _unwrapped(name: str) -> str:
    for word in WRAPPERS:
        name = name.replace(word, "")
    return name
