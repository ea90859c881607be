"""What a chapter shows beside tables: sentences with numbers, its finding, and figures with captions.

All is plain Markdown, which JupyterLab, the rendered book and a code host show alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from in9.plots.style import Chart
from in9.plots.tables import WithInterval, download

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Text:
    """Markdown."""

    data: str

    def _repr_markdown_(self) -> str:
        return self.data


@dataclass(frozen=True)
class Captioned:
    """A figure with its caption and, of a chart, its numbers to download."""

    figure: Figure
    caption: str
    data: pd.DataFrame | None = field(default=None, kw_only=True)

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        self._display_figure()
        if self.caption:
            display(Text(f"<small>{self.caption}</small>"))
        if self.data is not None:
            display(HTML(download(self.data, "figure.csv")))

    def _display_figure(self) -> None:
        from IPython.display import display

        display(self.figure)


def say(text: str, **values: Any) -> Text:
    """Sentences with numbers: ``say("The gap is {gap} points.", gap=...)``; indented lines are moved to the left.

    An estimate stands with its interval, ``14.3 [13.5, 15.2]``, or alone as ``{gap:.1f}``, both in percent.
    """
    return Text(_filled(text, values))


def finding(sentence: str, paper: Any, ours: Any, verdict: str, **values: Any) -> Text:
    """What a chapter finds, at its top: one sentence, the paper's number, ours, and the verdict on the claim.

    ``paper`` and ``ours`` are numbers, estimates or words; ``values`` fill the sentence, as in ``say``.
    """
    numbers = (f"{name}: {_number(value)}" for name, value in (("paper", paper), ("ours", ours)))
    return Text(f"> **{_filled(sentence, values)}**\n>\n> {' · '.join(numbers)} · verdict: **{verdict}**")


def show(shown: Chart | Figure, caption: str = "", **values: Any) -> Captioned:
    """A chart or a picture and, below it, its caption; ``values`` fill the caption, as in ``say``."""
    text = _filled(caption, values)
    return Captioned(shown.figure, text, data=shown.data) if isinstance(shown, Chart) else Captioned(shown, text)


class _InPercent:
    """An estimate in a sentence: with its interval, or alone where the sentence says how many digits."""

    def __init__(self, estimate: WithInterval) -> None:
        self.estimate = estimate

    def __format__(self, spec: str) -> str:
        return format(self.estimate.in_percent()[0], f"z{spec}") if spec else self.estimate.text()


def _filled(text: str, values: dict[str, Any]) -> str:
    text = cleandoc(text)
    if not values:
        return text
    shown = {name: _InPercent(value) if isinstance(value, WithInterval) else value for name, value in values.items()}
    return text.format(**shown)


def _number(value: Any) -> str:
    if isinstance(value, WithInterval):
        return value.text()
    return f"{value:.1f}" if isinstance(value, float) else str(value)
