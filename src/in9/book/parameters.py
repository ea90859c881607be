"""The parameters of a chapter: what its cell declares, and whether what was given fits.

``in9 book --set``, plain papermill and a reader who edits the cell in JupyterLab are checked by the same functions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from in9.errors import In9Error, unknown

KINDS = {kind.__name__: kind for kind in (str, int, float, bool, list)}
"""What an annotation may be made of, beside ``None``."""
INJECTED = "# Parameters\n"  # how papermill begins the cell with the values that it was given


@dataclass(frozen=True)
class Parameter:
    """A parameter as its cell declares it: its default, and its type, such as ``list[int]``.

    With a default of None it may be None, whatever its type: papermill does not understand ``int | None``.
    """

    name: str
    kind: Any
    default: Any

    def fitting(self, value: Any) -> Any:
        """The value, as one of the parameter's type. Raises In9Error if it is not.

        A whole number will do for a real one. For a list, a single item stands for a list of that item, and text is
        split at its commas, since papermill's ``-p`` knows no lists: ``-p seeds 0,1``.
        """
        kinds = get_args(self.kind) if isinstance(self.kind, UnionType) else (self.kind,)
        if self.default is None:
            kinds += (NoneType,)
        fit = value
        if any(get_origin(kind) is list for kind in kinds) and value is not None:
            fit = list(value) if isinstance(value, list | tuple) else _items(value)
        if self.kind is Any or any(_is_of(fit, kind) for kind in kinds):
            return fit
        raise In9Error(f"The parameter {self.name!r} must be {_in_words(kinds)}; {value!r} is {type(value).__name__}.")


def declared(source: str) -> dict[str, Parameter]:
    """The parameters that a cell declares, by name.

    Raises ValueError, with the statement, for one that is not an assignment of a plain value, and for an annotation
    that is made of something else than ``KINDS`` and ``None``. Without annotation the type is that of the default, and
    a default of None takes anything.
    """
    parameters = {}
    for statement in ast.parse(source).body:
        try:
            match statement:
                case ast.Assign([ast.Name(name)], value):
                    default = ast.literal_eval(value)
                    kind = Any if default is None else type(default)
                case ast.AnnAssign(ast.Name(name), annotation, ast.expr() as value):
                    default = ast.literal_eval(value)
                    kind = eval(ast.unparse(annotation), {"__builtins__": KINDS})
                case _:
                    raise ValueError
        except (ValueError, TypeError, NameError, AttributeError):
            raise ValueError(ast.unparse(statement)) from None
        parameters[name] = Parameter(name, kind, default)
    return parameters


def fitting(parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values, each as one of its parameter's type; raises In9Error for one unknown or of another type."""
    for name in given:
        if name not in parameters:
            raise unknown("parameter", name, parameters)
    return {name: parameters[name].fitting(value) for name, value in given.items()}


def values_in(names: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the notebook whose names these are (``globals()``) and their values, checked.

    The cells that have run, in ``names["In"]``, tell which parameters there are, and what papermill was given. Outside
    a notebook there is nothing to check, and the names are returned as they are. Raises In9Error as ``fitting`` does.
    """
    parameters: dict[str, Parameter] = {}
    given: list[str] = []
    for source in names.get("In", ()):
        try:
            if source.startswith(INJECTED):
                given = list(declared(source))
            elif "profile" in (cell := declared(source)):
                parameters, given = cell, []
        except (ValueError, SyntaxError):  # any other cell
            continue
    if not parameters:
        return dict(names)
    return fitting(parameters, {name: names.get(name) for name in (*parameters, *given)})


def _items(value: Any) -> list[Any]:
    if not isinstance(value, str):
        return [value]
    texts = [text.strip() for text in value.split(",")]
    return [int(text) if text.lstrip("-").isdecimal() else text for text in texts]


def _is_of(value: Any, kind: Any) -> bool:
    if get_origin(kind) is list:
        return isinstance(value, list) and all(_is_of(item, get_args(kind)[0]) for item in value)
    return type(value) is kind or (kind is float and type(value) is int)


def _in_words(kinds: Iterable[Any]) -> str:
    names = ["None" if kind is NoneType else str(kind) if get_origin(kind) else kind.__name__ for kind in kinds]
    return " or ".join(names)
