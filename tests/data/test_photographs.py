"""Photographs that may be shown: fetched and checked, credited, masked, and replaced by painted ones where missing."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from small_server import serving

from in9.data import photographs
from in9.data.boxes import bounds, strip
from in9.data.photographs import SIDE, Photograph, fetch_photographs, listing, load, painted, read_listing, shown
from in9.data.published import encoded
from in9.data.variants import MIXED, VARIANTS, compose, draw_backgrounds
from in9.errors import In9Error
from in9.files import hash_of_file
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES, label_of_wnid

OFFLINE = "http://127.0.0.1:9"


@pytest.fixture
def server(originals):
    """A web server that has the photographs below /images; ``paths`` lists what it was asked for."""
    with serving({f"/images/{path.name}": path.read_bytes() for path in originals.folder.iterdir()}) as http:
        http.address += "/images"
        yield http


class Originals:
    """A photograph of each class in a folder, and the list of them; every second has a polygon for its mask."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self.list = folder, []
        stand_ins = painted(224)
        for label, name in enumerate(CLASS_NAMES):
            row = int(np.flatnonzero(stand_ins.labels == label)[0])
            picture = Image.fromarray(stand_ins.images[row]).resize((SIDE, SIDE))
            path = folder / f"{name}.png"
            picture.save(path)
            mask = np.zeros((SIDE, SIDE), bool)
            mask[50:150, 20:220] = True
            polygon = "20,50 219,50 219,149 20,149" if label % 2 else ""
            self.list.append(
                Photograph(
                    id=name,
                    label=label,
                    wnid=f"n{label}",
                    box=(20, 50, 220, 150),
                    author=f"A_{name} [x]",
                    licence="CC BY 2.0",
                    page=f"https://example.org/{name}",
                    sha256=hash_of_file(path),
                    rest="another" if name == "fish" else "",
                    polygon=polygon,
                    mask="" if polygon else encoded(mask),
                )
            )


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return Originals(tmp_path_factory.mktemp("web") / "images")


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


# ---- the list --------------------------------------------------------------------------------------------------------


def test_the_list_is_whole():
    photographs = listing()
    assert {photograph.label for photograph in photographs} == set(range(NUM_CLASSES))
    assert len({photograph.id for photograph in photographs}) == len(photographs) == 44
    assert len({photograph.sha256 for photograph in photographs}) == 44
    for photograph in photographs:
        assert label_of_wnid()[photograph.wnid] == photograph.label
        assert photograph.author and photograph.licence == "CC BY 2.0" and photograph.page.startswith("https://")
        assert bool(photograph.polygon) != bool(photograph.mask)
        left, top, right, bottom = photograph.box
        assert 0 <= left < right <= SIDE and 0 <= top < bottom <= SIDE
        inner = bounds(photograph.foreground())
        assert left <= inner[0] and top <= inner[1] and inner[2] <= right and inner[3] <= bottom, photograph.id
        assert photograph.foreground().sum() > 0.3 * (right - left) * (bottom - top), photograph.id
        strip(photograph.box, SIDE, SIDE)  # raises where nothing is left to tile


def test_a_part_of_a_polygon_inside_another_is_a_hole():
    photograph = replace(listing()[0], polygon="0,0 99,0 99,99 0,99 ; 40,40 59,40 59,59 40,59", mask="")
    mask = photograph.foreground()
    assert mask[0, 0] and mask[99, 99] and not mask[50, 50] and not mask[100, 100]


def test_a_list_reads_as_it_is_written():
    text = (
        "id,class,wnid,left,top,right,bottom,author,licence,page,sha256,rest,polygon,mask\n"
        'a,fish,n1,1,2,3,4,Zoë,CC BY 2.0,https://example.org,00,,"1,2 3,4",\n'
    )
    (photograph,) = read_listing(text)
    assert photograph.label == CLASS_NAMES.index("fish") and photograph.box == (1, 2, 3, 4)
    assert photograph.polygon == "1,2 3,4" and photograph.author == "Zoë"


# ---- fetching --------------------------------------------------------------------------------------------------------


def test_fetch_and_fetch_again(server, originals, tmp_path):
    folder = tmp_path / "new" / "photographs"
    fetched = fetch_photographs(folder, server.address, progress=False, photographs=originals.list)
    assert fetched.path == folder
    assert names(folder) == sorted(["CREDITS.md", *names(originals.folder)])
    credits = (folder / "CREDITS.md").read_text(encoding="utf-8")
    assert "[A\\_dog \\[x\\]](https://example.org/dog) | CC BY 2.0" in credits and credits.count("example.org") == 9
    assert "https://creativecommons.org/licenses/by/2.0/" in credits
    assert len(server.paths) == 9
    (folder / "fish.png").unlink()
    again = fetch_photographs(folder, server.address, progress=False, photographs=originals.list)
    assert server.paths[9:] == ["/images/fish.png"], "only what is missing is fetched"
    assert again == fetched


def test_a_stopped_fetch_keeps_what_came(server, originals, tmp_path):
    missing = replace(originals.list[3], id="missing")
    with pytest.raises(In9Error, match=r"missing.png could not be fetched \(the server answers 404 "):
        fetch_photographs(tmp_path, server.address, progress=False, photographs=[*originals.list[:3], missing])
    assert names(tmp_path) == ["bird.png", "dog.png", "vehicle.png"]


def test_another_file_than_the_list_says(server, originals, tmp_path):
    other = replace(originals.list[0], sha256="0" * 64)
    with pytest.raises(In9Error, match=r"dog.png is another file than asked for \(its checksum is sha256:"):
        fetch_photographs(tmp_path, server.address, progress=False, photographs=[other])
    with pytest.raises(In9Error, match=r"dog.png in .* is another file than the list says"):
        fetch_photographs(tmp_path, archive=originals.folder, progress=False, photographs=[other])
    assert names(tmp_path) == []
    (tmp_path / "dog.png").write_bytes(b"mine")
    with pytest.raises(In9Error, match=r"dog.png is there but has not the checksum .*remove it to fetch it anew"):
        fetch_photographs(tmp_path, server.address, progress=False, photographs=originals.list)
    assert (tmp_path / "dog.png").read_bytes() == b"mine"


def test_a_host_that_is_not_there(originals, tmp_path):
    with pytest.raises(
        In9Error, match=r"dog.png could not be fetched \(there is no connection to the server\); fetch .* --archive"
    ):
        fetch_photographs(tmp_path, OFFLINE, progress=False, photographs=originals.list)
    assert names(tmp_path) == []


def test_from_an_archive(originals, tmp_path):
    path = tmp_path / "photographs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in originals.folder.iterdir():
            archive.write(file, f"inner/images/{file.name}")
    target = tmp_path / "photographs"
    for _ in range(2):
        fetch_photographs(target, archive=path, progress=False, photographs=originals.list)
        assert names(target) == sorted(["CREDITS.md", *names(originals.folder)])
    more = [*originals.list, replace(originals.list[0], id="wolf")]
    with pytest.raises(In9Error, match=r"photographs.zip has no file wolf.png; give an archive of all"):
        fetch_photographs(target, archive=path, progress=False, photographs=more)


def test_what_cannot_be_asked_for(originals, tmp_path):
    with pytest.raises(In9Error, match="have a checksum each"):
        fetch_photographs(tmp_path, checksum="sha256:" + "0" * 64)
    with pytest.raises(In9Error, match="two places to take the photographs from; give one"):
        fetch_photographs(tmp_path, url=OFFLINE, archive=originals.folder)
    with pytest.raises(In9Error, match="There is no archive or folder"):
        fetch_photographs(tmp_path / "new", archive=tmp_path / "nothing.zip")
    assert names(tmp_path) == []


# ---- showing ---------------------------------------------------------------------------------------------------------


def test_what_was_fetched_is_shown(originals):
    pictures = load(originals.folder, photographs=originals.list)
    assert pictures is not None and not pictures.drawn and len(pictures) == NUM_CLASSES
    assert pictures.images.shape == (9, 224, 224, 3) and pictures.masks.shape == (9, 224, 224)
    assert pictures.labels.tolist() == list(range(NUM_CLASSES)) and pictures.ids == CLASS_NAMES
    assert pictures.boxes[0].tolist() == [15, 37, 165, 112]
    assert (pictures.masks[0] == pictures.masks[1]).all(), "a polygon and an encoded mask of the same pixels"
    assert abs(pictures.masks[0].sum() - 150 * 75) < 200
    assert pictures.clean.tolist() == [True] * 8 + [False]
    larger = load(originals.folder, SIDE, originals.list)
    assert larger.images.shape[1] == SIDE and larger.hash != pictures.hash
    with Image.open(originals.folder / "dog.png") as image:
        assert (larger.images[0] == np.array(image)).all()


def test_what_is_missing_or_damaged(originals, tmp_path):
    assert load(tmp_path, photographs=originals.list) is None
    fetch_photographs(tmp_path, archive=originals.folder, progress=False, photographs=originals.list)
    (tmp_path / "fish.png").write_bytes((tmp_path / "dog.png").read_bytes())
    with pytest.raises(In9Error, match=r"fish.png is not the photograph of the list; remove it and fetch it again"):
        load(tmp_path, photographs=originals.list)
    (tmp_path / "fish.png").write_bytes(b"no picture")
    with pytest.raises(In9Error, match=r"fish.png is not the photograph of the list"):
        load(tmp_path, photographs=originals.list)
    (tmp_path / "fish.png").unlink()
    assert load(tmp_path, photographs=originals.list) is None


def test_painted_ones_take_their_place(tmp_path):
    pictures = shown(tmp_path)
    assert pictures.drawn and pictures.ids == tuple(photograph.id for photograph in listing())
    assert pictures.labels.tolist() == [photograph.label for photograph in listing()]
    assert len({image.tobytes() for image in pictures.images}) == len(pictures)
    assert pictures.masks.any((1, 2)).all() and pictures.clean.all()
    assert pictures.credit([0]) == pictures.credit()
    assert "drawn for this book" in pictures.credit() and "in9 fetch photographs" in pictures.credit()
    assert (pictures.images == shown(tmp_path).images).all()


def test_every_variant_is_composed_of_them(originals):
    for pictures in (load(originals.folder, photographs=originals.list), painted(64, originals.list)):
        pool = pictures.pool()
        rows = torch.arange(len(pool))
        for variant in VARIANTS:
            backgrounds = draw_backgrounds(variant, pool, 0)[0] if variant in MIXED else None
            images = compose(variant, pool, rows, backgrounds)
            assert images.shape == pool.images.shape and images.dtype == torch.uint8
            as_pictures = pictures.variant(
                variant, rows.tolist(), None if backgrounds is None else backgrounds.tolist()
            )
            assert (as_pictures == images.permute(0, 2, 3, 1).numpy()).all()
        other = rows.roll(1)
        mixed, masks = compose("mixed_rand", pool, rows, other), pool.masks.expand_as(pool.images)
        assert (mixed[masks] == pool.images[masks]).all() and (mixed[~masks] == pool.tiles[other][~masks]).all()


def test_a_credit_is_a_sentence_with_links(originals):
    pictures = load(originals.folder, photographs=originals.list)
    assert pictures.credit([8, 0, 8]) == (
        "Photographs: [A\\_fish \\[x\\]](https://example.org/fish), [A\\_dog \\[x\\]](https://example.org/dog) "
        "([CC BY 2.0](https://creativecommons.org/licenses/by/2.0/)), made smaller, and changed as the figure says."
    )
    assert pictures.credit().count("example.org") == NUM_CLASSES


def test_a_row_by_the_beginning_of_its_id(originals):
    pictures = load(originals.folder, photographs=originals.list)
    assert pictures.row("fi") == 8 and pictures.row("dog") == 0
    for beginning, number in (("x", 0), ("", 9)):
        with pytest.raises(In9Error, match=f"{number} of the 9 illustrations have an id that begins with"):
            pictures.row(beginning)


def test_the_steps_from_a_photograph_to_a_mixed_image(originals):
    pictures = load(originals.folder, photographs=originals.list)
    steps = pictures.steps(0, 8)
    assert list(steps) == [
        *("Photograph", "Box", "Mask (GrabCut)", "Another background, tiled", "Object on that background")
    ]
    assert {image.shape for image in steps.values()} == {(224, 224, 3)}
    image, boxed, masked, tiled, mixed = steps.values()
    mask = pictures.masks[0]
    assert (image == pictures.images[0]).all() and (boxed[37, 15:165] == photographs.YELLOW).all()
    assert (masked[mask] == image[mask]).all() and not masked[~mask].any()
    assert (mixed[mask] == image[mask]).all() and (mixed[~mask] == tiled[~mask]).all()
    assert "Mask (by hand)" in pictures.steps(1, 0) and "Mask (exact)" in painted(64).steps(0, 1)


def test_the_hash_is_of_what_decides_the_pictures(originals):
    pictures = load(originals.folder, photographs=originals.list)
    moved = replace(pictures, photographs=(replace(originals.list[0], box=(0, 0, 9, 9)), *originals.list[1:]))
    author = replace(pictures, photographs=(replace(originals.list[0], author="B"), *originals.list[1:]))
    assert moved.hash != pictures.hash == author.hash
