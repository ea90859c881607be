"""What a chapter shows: sentences with numbers, tables, and figures of frames."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterator
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from in9.data.variants import VARIANTS
from in9.evaluation.estimates import Estimate
from in9.evaluation.predictions import TEST_SETS
from in9.plots import page, style, tables
from in9.plots.charts import intervals, matrix_heatmaps, success_histograms
from in9.plots.pictures import picture_grid
from in9.plots.style import COLOURS, ORIGIN_LOOKS
from in9.taxonomy import CLASS_NAMES, TITLES

ESTIMATE = Estimate(0.793, 0.779, 0.806)


@pytest.fixture(autouse=True)
def clean_style() -> Iterator[None]:
    """Styles are global: put them back, and see that no figure is left behind."""
    with mpl.rc_context():
        yield
    left = plt.get_fignums()
    plt.close("all")
    assert left == []


def as_file(figure: Figure, image_format: str = "svg") -> bytes:
    """The figure as a file, so that whatever goes wrong while it is painted shows."""
    stream = io.BytesIO()
    figure.savefig(stream, format=image_format)
    return stream.getvalue()


# --- report -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (np.float32("nan"), "–"),
        (12.345, "12.3"),
        (np.float64(12.35), "12.3"),
        (np.float32(0.5), "0.5"),
        (-0.04, "0.0"),
        (1234567, "1,234,567"),
        (np.int64(4050), "4,050"),
        (0, "0"),
        ("dog", "dog"),
        (ESTIMATE, "**79.3** [77.9,\u00a080.6]"),
        (Estimate(-0.0001, -0.02, 0.01), "**0.0** [-2.0,\u00a01.0]"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert tables.cell(value) == text


def test_cells_with_other_digits() -> None:
    assert tables.cell(12.345, 2) == "12.35"
    assert tables.cell(12.0, 0) == "12"
    assert tables.cell(ESTIMATE, 0) == "**79** [78,\u00a081]"


HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![a](http://example.org/a.png)", "[a](javascript:b)",
    "a | b | c", "`code`", "**bold** *and* _so_ __on__", "$x$ and $$y$$", "{raw}`html`", "{{ variable }}", "# heading",
    "- item", "+ item", "1. item", "1) item", "> quote", "::: note", "% comment", "+++", "---", "~~~", "```{note}",
    "\\", "&lt;b&gt;", "&amp;#60;", "http://example.org", "www.example.org", "<http://example.org>", "a\\|b", "'\"><b>",
    "<!--",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_from_elsewhere_shows_as_it_is(text: str) -> None:
    from markdown_it import MarkdownIt
    from mdit_py_plugins.colon_fence import colon_fence_plugin
    from mdit_py_plugins.dollarmath import dollarmath_plugin
    from mdit_py_plugins.myst_role import myst_role_plugin

    plugins = (colon_fence_plugin, dollarmath_plugin, myst_role_plugin)
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for plugin in plugins:
        reader.use(plugin)
    safe = tables.escaped(text)
    assert html.unescape(safe) == text
    assert html.unescape(reader.render(safe)) == f"<p>{text}</p>\n"
    cells = reader.render(tables.table([{"model": safe, "n": 1}]).markdown())
    assert f'<td style="text-align:left">{text}</td>' in html.unescape(cells)
    assert cells.count("<") == 18, "there are the tags of a table and no other"


def test_plain_names_stay_as_they_are_and_others_are_cut_and_made_printable() -> None:
    for name in ("efficientnet_lite0", "resnet50.a1_in1k", "my_models:network", "ResNet-50 (ours), 64 px", "模型"):
        assert tables.escaped(name) == name
    assert tables.escaped("a\nb\0\u202e\udcff") == "a?b???"
    assert tables.escaped("x" * 300) == "x" * 99 + "…" and tables.escaped(5) == "5"


def test_tables_are_markdown_with_numbers_to_the_right() -> None:
    shown = tables.table(
        [{"class": "dog", "images": 1300, "share": None}, {"class": "a|b", "images": 145, "share": 0.25}]
    )
    assert shown.markdown().splitlines() == [
        "| class | images | share |",
        "|:--|--:|--:|",
        "| dog | 1,300 | – |",
        "| a/b | 145 | 0.2 |",
    ]


def test_paper_record_and_run_stand_side_by_side() -> None:
    shown = tables.side_by_side(
        "trained on",
        {"original": "Original", "mixed_rand": "Mixed-Rand"},
        paper={"original": 85.95},
        ours={"record": {"original": ESTIMATE}, "run": {"mixed_rand": 10.0}},
    )
    assert shown.markdown().splitlines() == [
        "| trained on | paper | our record (photographs) | this run |",
        "|:--|--:|--:|--:|",
        "| Original | 86.0 | **79.3** [77.9,\u00a080.6] | – |",
        "| Mixed-Rand | – | – | 10.0 |",
    ]


def test_an_origin_without_numbers_has_no_column_but_the_paper_has() -> None:
    assert tables.side_by_side("x", {"a": "A"}, {}, {"record": {}, "run": {"b": 1}}).markdown().splitlines() == [
        "| x | paper | this run |",
        "|:--|:--|:--|",
        "| A | – | – |",
    ]


def test_a_panel_says_whose_numbers_it_has() -> None:
    assert style.panel_title("record", "control") == "Our record: photographs"
    assert style.panel_title("run", "control") == "This run: profile control"


def test_a_table_of_a_page_escapes_folds_and_holds_its_numbers() -> None:
    rows = [{"<img src=x>": f"<script>{k}</script>", "gap": ESTIMATE} for k in range(9)]
    html = tables.table(rows, "Gaps of **networks**").html()
    assert "<script>" not in html and "<img" not in html and "&lt;script&gt;8" in html
    assert "<details" in html and "<strong>networks</strong>" in html and "(9 rows)" in html
    address = re.search(r'href="data:text/csv;base64,([^"]+)"', html)
    assert address is not None
    frame = pd.read_csv(io.BytesIO(base64.b64decode(address[1])))
    assert list(frame.columns) == ["<img src=x>", "gap", "gap, low", "gap, high"]
    assert frame["gap"].tolist() == pytest.approx([100 * ESTIMATE.value] * 9)


def test_a_short_table_is_in_sight_and_a_folded_one_is_not() -> None:
    rows = [{"class": "dog", "images": 1}]
    assert "<details" not in tables.table(rows).html()
    assert "<details" in tables.table(rows, fold=True).html()
    bundle = tables.table(rows)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/markdown", "text/plain"}


def test_sentences_have_numbers() -> None:
    told = page.say("The gap is {gap}, about {gap:.0f}; the paper's {paper:.1f}.", gap=ESTIMATE, paper=20.22)
    assert told.data == "The gap is 79.3 [77.9, 80.6], about 79; the paper's 20.2."
    assert page.say("""
        - a {b}
          c""", b=1).data == "- a 1\n  c"  # fmt: skip
    with pytest.raises(KeyError):
        page.say("{nothing}", gap=ESTIMATE)


def test_a_finding_says_whose_number_is_whose() -> None:
    lines = page.finding("It is {gap:.0f} points.", 20.22, ESTIMATE, "supported", gap=ESTIMATE).data.splitlines()
    assert lines[0] == "> **It is 79 points.**"
    assert lines[-1] == "> paper: 20.2 · ours: 79.3 [77.9, 80.6] · verdict: **supported**"


# --- figures ----------------------------------------------------------------------------------------------------


def matrix(names: tuple[str, ...] = TEST_SETS) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"train": train, "test": test, "accuracy": 10.0 * row + column}
            for row, train in enumerate(names)
            for column, test in enumerate(names)
        ]
    )


def rows_of(origins: dict[str, float | None]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "train": train,
                "origin": origin,
                "gap": number + 1.0,
                "low": low and low + number,
                "high": low and number + 2,
            }
            for origin, low in origins.items()
            for number, train in enumerate(VARIANTS)
        ]
    )


def test_labels_and_colours_cover_every_test_set() -> None:
    assert tuple(TITLES) == tuple(COLOURS) == TEST_SETS
    assert len(set(TITLES.values())) == len(TITLES)


def test_colours_can_be_told_apart() -> None:
    colours = [np.array(to_rgb(colour)) for colour in COLOURS.values()]
    for first, second in combinations(colours, 2):
        assert np.abs(first - second).sum() > 0.2
    looks = [(look["color"], look["marker"]) for look in ORIGIN_LOOKS.values()]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == len(looks)


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_heatmaps_have_one_panel_for_each_origin(panels: int) -> None:
    style.use("svg")
    frames = {f"origin {number}": matrix() for number in range(panels)}
    chart = matrix_heatmaps(frames)
    figure = chart.figure
    assert isinstance(figure, Figure) and len(figure.axes) == panels
    for title, part in chart.data.groupby("panel"):
        pd.testing.assert_frame_equal(part.drop(columns="panel").reset_index(drop=True), frames[title])
    for number, axis in enumerate(figure.axes):
        assert axis.get_title() == f"origin {number}"
        assert (axis.get_xlabel(), axis.get_ylabel()) == ("tested on", "trained on")
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            assert [tick.get_text() for tick in ticks] == list(TITLES.values())
        numbers = [text.get_text() for text in axis.texts]
        assert numbers == [f"{value:.0f}" for value in matrix()["accuracy"]]
    assert as_file(figure).startswith(b"<?xml")


def test_heatmaps_keep_the_order_whatever_the_frames_order() -> None:
    shuffled = matrix(("mixed_rand", "original", "only_fg")).sample(frac=1, random_state=0)
    (axis,) = matrix_heatmaps({"few": shuffled}).figure.axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["Original", "Only-FG", "Mixed-Rand"]


def test_heatmaps_leave_unknown_cells_empty() -> None:
    frame = matrix()
    frame.loc[5, "accuracy"] = np.nan
    figure = matrix_heatmaps({"the paper": frame}).figure
    assert len(figure.axes[0].texts) == 80
    as_file(figure)


@pytest.mark.parametrize("chance", [True, False])
@pytest.mark.parametrize(
    "origins", [{"paper": None}, {"run": -1.0}, {"paper": None, "record": 0.5, "run": 0.5}, {"run": 0.5, "paper": None}]
)
def test_intervals_have_one_row_for_each_name(origins: dict[str, float | None], chance: bool) -> None:
    style.use("svg")
    chart = intervals(rows_of(origins), "train", "gap", VARIANTS, "BG-Gap in points", chance)
    assert len(chart.data) == len(rows_of(origins))
    figure = chart.figure
    (axis,) = figure.axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == [TITLES[name] for name in reversed(VARIANTS)]
    assert axis.get_xlabel() == "BG-Gap in points"
    (legend,) = figure.legends
    shown = [origin for origin in ORIGIN_LOOKS if origin in origins]
    assert [text.get_text() for text in legend.get_texts()] == [ORIGIN_LOOKS[origin]["label"] for origin in shown]
    dots = [line for line in axis.lines if line.get_marker() in {look["marker"] for look in ORIGIN_LOOKS.values()}]
    assert [len(line.get_xdata()) for line in dots] == [len(VARIANTS)] * len(origins)
    assert ("chance" in {text.get_text() for text in axis.texts}) == chance
    for line in dots:  # the first name of the order is at the top
        heights = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
        assert heights[1.0] > heights[len(VARIANTS)]
    as_file(figure)


def test_intervals_leave_out_what_an_origin_does_not_have() -> None:
    frame = rows_of({"paper": None, "run": 0.5})
    frame = frame[(frame["origin"] == "run") | (frame["train"] == "original")]
    (axis,) = intervals(frame, "train", "gap", VARIANTS, "x").figure.axes
    dots = {line.get_marker(): len(line.get_xdata()) for line in axis.lines}
    assert dots["s"] == 1 and dots["D"] == len(VARIANTS)


def test_a_gap_below_zero_without_an_interval_stands_beside_the_line_at_zero() -> None:
    frame = pd.DataFrame({"train": ["mixed_next"], "origin": ["paper"], "gap": [-4.7], "low": [None], "high": [None]})
    frame = frame.astype({"low": float, "high": float})
    (axis,) = intervals(frame, "train", "gap", ["mixed_next"], "x").figure.axes
    assert [0, 0] in [list(line.get_xdata()) for line in axis.lines]


def test_the_legend_has_an_origin_that_the_first_panel_lacks() -> None:
    frame = pd.DataFrame({"origin": ["paper", "run"], "target": ["dog", "bird"], "value": [10.0, 20.0]})
    chart = success_histograms(frame, ["dog", "bird"])
    figure = chart.figure
    bars = chart.data[chart.data["share"] > 0][["target", "from", "to", "series"]]
    assert bars.to_numpy().tolist() == [["dog", 10.0, 15.0, "the paper"], ["bird", 20.0, 25.0, "this run"]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["the paper", "this run"]


@pytest.mark.parametrize("size", [32, 96])
def test_pictures_stand_in_rows_and_columns(size: int) -> None:
    style.use("jpeg")
    image = np.arange(size * size * 3, dtype=np.uint64).reshape(size, size, 3).astype(np.uint8)
    rows = {name: [image] * len(VARIANTS) for name in CLASS_NAMES}
    figure = picture_grid(rows, [TITLES[name] for name in VARIANTS])
    assert len(figure.axes) == 9 * 8
    titles = [axis.get_title().replace("-\n", "-") for axis in figure.axes[:8]]  # broken where they are too long
    assert titles == [TITLES[name] for name in VARIANTS]
    assert [axis.get_ylabel() for axis in figure.axes[::8]] == list(CLASS_NAMES)
    assert all(len(axis.images) == 1 and not axis.get_xticks().size for axis in figure.axes)
    assert as_file(figure, "png").startswith(b"\x89PNG")


def test_one_picture_is_a_grid_too() -> None:
    assert len(picture_grid({"dog": [np.zeros((8, 8, 3), np.uint8)]}, ["Original"]).axes) == 1


def test_a_chart_is_shown_with_its_numbers_and_a_picture_without(capsys: pytest.CaptureFixture) -> None:
    style.use("svg")
    shown = page.show(intervals(rows_of({"run": 0.5}), "train", "gap", VARIANTS, "x"), "Number {number}.", number=7)
    assert shown.caption == "Number 7."
    address = r'download="figure.csv" href="data:text/csv;base64,([^"]+)"'
    link = re.search(address, tables.download(shown.data, "figure.csv"))
    frame = pd.read_csv(io.BytesIO(base64.b64decode(link[1])))
    assert list(frame["train"]) == list(VARIANTS) and (frame["high"] > frame["low"]).all()
    grid = picture_grid({"dog": [np.zeros((8, 8, 3), np.uint8)]}, ["Original"])
    assert page.show(grid).data is None
    shown._ipython_display_()
    page.show(grid)._ipython_display_()
    assert capsys.readouterr().out.count("HTML object") == 1


def test_charts_are_the_same_file_each_time() -> None:
    style.use("svg")
    date = re.compile(rb"<dc:date>.*?</dc:date>")
    first, second = (date.sub(b"", as_file(matrix_heatmaps({"x": matrix()}).figure)) for _ in range(2))
    assert first == second
