"""Options that several commands have."""

from __future__ import annotations

import ast
from typing import Annotated, Any

import typer

from in9.errors import In9Error

PROFILE = Annotated[str, typer.Option(help="smoke, control, light, tiny, paper, or the path of a TOML file.")]
DEVICE = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]
JOBS = Annotated[int | None, typer.Option(min=1, help="Trainings side by side.")]
ENGINE = Annotated[str | None, typer.Option(help="Where trainings run: local or ray; default: IN9_ENGINE, or local.")]


def seed_option(help_: str) -> Any:
    """The option ``--seed``; other languages and file formats know no larger whole numbers."""
    return typer.Option("--seed", min=-(2**63), max=2**63 - 1, help=help_)


def assignments(texts: list[str]) -> dict[str, Any]:
    """``["rho=0.5", "name=x"]`` -> ``{"rho": 0.5, "name": "x"}``."""
    values: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise In9Error(f"{text!r} is not of the form name=value.")
        try:
            values[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            values[name] = value
    return values
