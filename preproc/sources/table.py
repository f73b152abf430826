"""One TOML table, its keys taken one by one."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ..errors import RecipeError, did_you_mean

_REQUIRED = object()
Value = TypeVar("Value")


class Table:
    """One TOML table, its keys taken one by one; finish() refuses what nobody took."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self.data, self.where, self.taken = data, where, list[str]()

    def any(self, key: str, default: Any = _REQUIRED) -> Any:
        self.taken.append(key)
        if key in self.data:
            return self.data[key]
        if default is _REQUIRED:
            raise RecipeError(f"{self._key(key)}: expected a value, got nothing{self.near(key)}", name="missing-key")
        return default

    def near(self, key: str) -> str:
        """The end of a message: a key that nobody took and that may be a misspelt one of this name, if there is one."""
        close = [other for other in self.data if other not in self.taken and other != key and did_you_mean(other, [key])]
        return f"; did you mean it by {close[0]!r}?" if close else ""

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        return self._typed(key, default, str, "a string")

    def number(self, key: str, default: int | None = None) -> int | None:
        value: int | None = self._typed(key, default, int, "a whole number")
        return value

    def checked(self, key: str, check: Callable[[object], Value], default: Any = _REQUIRED) -> Value:
        """What `check` makes of the value; a default is taken as it is."""
        value = self.any(key, default)
        if value is default:
            return default  # type: ignore[no-any-return]
        try:
            return check(value)
        except RecipeError as error:
            raise RecipeError(f"{self.where} {error}" if self.where else str(error)) from error

    def texts(self, key: str, default: Iterable[str]) -> tuple[str, ...]:
        values = self._typed(key, list(default), list, "a list of strings")
        if not all(isinstance(value, str) for value in values) or len(set(values)) != len(values) or (key in self.data and not values):
            raise RecipeError(f"{self._key(key)}: expected a list of different strings, got {values!r}")
        return tuple(values)

    def choice(self, key: str, known: Iterable[str], default: Any = _REQUIRED) -> str:
        value: str = self.text(key, default)
        if value not in known:
            raise RecipeError(
                f"{self._key(key)}: expected one of {', '.join(known)}, got {value!r}{did_you_mean(value, known)}", name="unknown-choice"
            )
        return value

    def table(self, key: str, default: Any = _REQUIRED) -> "Table":
        return Table(self._typed(key, default, dict, "a table"), f"[{key}]")

    def tables(self, key: str) -> "list[Table]":
        if key not in self.data:
            mend = self.near(key) or f": a network that takes grey levels says {key} = []"
            raise RecipeError(f"[[{key}]]: expected the preprocessing steps, got nothing{mend}", name="missing-key")
        values = self._typed(key, _REQUIRED, list, "a list of tables")
        for position, value in enumerate(values, start=1):
            if not isinstance(value, dict):
                raise RecipeError(f"{key}[{position}]: expected a table, got {value!r}")
        return [Table(value, f"[[{key}]] number {position}") for position, value in enumerate(values, start=1)]

    def finish(self) -> None:
        known = list(dict.fromkeys(self.taken))
        for key in self.data:
            if key not in known:
                raise RecipeError(
                    f"{self._key(key)}: expected one of {', '.join(known)}, got an unknown key{did_you_mean(key, known)}",
                    name="unknown-key",
                )

    def _typed(self, key: str, default: Any, kind: type, word: str) -> Any:
        value = self.any(key, default)
        if value is not default and (not isinstance(value, kind) or isinstance(value, bool)):
            raise RecipeError(f"{self._key(key)}: expected {word}, got {value!r}")
        return value

    def _key(self, key: str) -> str:
        return f"{self.where} {key}" if self.where else key
