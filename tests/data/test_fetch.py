"""Downloads: whole, checked and resumed, or not there at all; archives unpacked without leaving their folder."""

from __future__ import annotations

import errno
import hashlib
import io
import tarfile
import threading
import zipfile

import pytest
from small_server import Handler, serving

from in9.data.fetch import Fetched, checksum_of, fetch
from in9.data.released import Released, fetch_released
from in9.data.sources.tiny_imagenet import TinyImageNet, fetch_tiny_imagenet
from in9.errors import In9Error

CONTENT = bytes(range(256)) * 4000  # about one piece
CUT = 300_000
MD5, SHA = (f"{kind}:{hashlib.new(kind, CONTENT).hexdigest()}" for kind in ("md5", "sha256"))
OFFLINE = "http://127.0.0.1:9/data.zip"


@pytest.fixture
def server():
    with serving({"/data.zip": CONTENT}) as http:
        yield http


@pytest.fixture
def cut(server, tmp_path):
    """A download that was cut after CUT bytes; gives the path that it was to have."""
    server.cut = CUT
    with pytest.raises(
        In9Error, match=r"connection was cut\); run the same command again, it goes on where it stopped"
    ):
        fetch(f"{server.address}/data.zip", tmp_path / "data.zip", SHA, progress=False)
    server.cut = None
    assert names(tmp_path) == ["data.zip.partial", "data.zip.partial.json"]
    assert (tmp_path / "data.zip.partial").read_bytes() == CONTENT[:CUT]
    return tmp_path / "data.zip"


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


# ---- one file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [None, MD5, SHA, SHA.upper().replace("SHA", "sha")])
def test_a_whole_download(server, tmp_path, capsys, checksum):
    path = fetch(f"{server.address}/data.zip", tmp_path / "new" / "data.zip", checksum)
    assert path.read_bytes() == CONTENT and names(path.parent) == ["data.zip"]
    shown = capsys.readouterr()
    assert shown.out == "" and "fetching data.zip" in shown.err and "100%" in shown.err
    assert fetch(OFFLINE, path, checksum) == path  # a file that is there is not fetched again
    assert len(server.asked) == 1


def test_a_cut_download_goes_on(server, cut):
    assert fetch(f"{server.address}/data.zip", cut, SHA, progress=False).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={CUT}-"] and names(cut.parent) == ["data.zip"]


def test_without_ranges_it_starts_anew(server, cut):
    server.ranges = False
    assert fetch(f"{server.address}/data.zip", cut, SHA, progress=False).read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={CUT}-" and names(cut.parent) == ["data.zip"]


@pytest.mark.parametrize("change", ["tag", "size", "smaller", "address"])
def test_a_changed_file_starts_anew(server, cut, change):
    content = {"tag": CONTENT[::-1], "size": CONTENT + b"more", "smaller": CONTENT[:CUT], "address": CONTENT[1:]}[
        change
    ]
    address = "/other.zip" if change == "address" else "/data.zip"
    server.files[address] = content
    server.tag = '"two"' if change == "tag" else server.tag
    assert fetch(server.address + address, cut, progress=False).read_bytes() == content
    assert server.asked[-1] is None and names(cut.parent) == ["data.zip"]


@pytest.mark.parametrize("notes", [None, b"{", b"[]"])
def test_a_part_of_nobody_knows_what_starts_anew(server, cut, notes):
    path = cut.with_name("data.zip.partial.json")
    path.unlink()
    if notes is not None:
        path.write_bytes(notes)
    cut.with_name("data.zip.partial").write_bytes(b"x" * CUT)
    assert fetch(f"{server.address}/data.zip", cut, SHA, progress=False).read_bytes() == CONTENT


def test_a_download_stopped_before_its_check_is_not_fetched_again(server, tmp_path, monkeypatch):
    path = tmp_path / "data.zip"

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("in9.data.fetch.checksum_of", stop)
        with pytest.raises(KeyboardInterrupt):
            fetch(f"{server.address}/data.zip", path, SHA, progress=False)
    assert not path.exists()
    assert fetch(f"{server.address}/data.zip", path, SHA, progress=False).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_server_that_says_no_size(server, tmp_path):
    server.length = False
    assert fetch(f"{server.address}/data.zip", tmp_path / "data.zip", SHA).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(
        In9Error, match=rf"another file than asked for \(its checksum is {MD5}\); fetch it by other means"
    ):
        fetch(f"{server.address}/data.zip", tmp_path / "data.zip", "md5:" + "0" * 32, progress=False)
    assert names(tmp_path) == []


def test_a_file_that_is_there_and_wrong_is_kept(server, tmp_path):
    (tmp_path / "data.zip").write_bytes(b"mine")
    with pytest.raises(In9Error, match=f"data.zip is there but has not the checksum {SHA}; remove it"):
        fetch(f"{server.address}/data.zip", tmp_path / "data.zip", SHA)
    assert (tmp_path / "data.zip").read_bytes() == b"mine" and server.asked == []


@pytest.mark.parametrize("checksum", ["abc", "", "crc:12"])
def test_what_is_no_checksum(tmp_path, checksum):
    with pytest.raises(In9Error, match="is not a checksum; write it as sha256:<digits> or md5:<digits>"):
        fetch(OFFLINE, tmp_path / "data.zip", checksum)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("{}/nothing.zip", "the server answers 404 Not Found"),
        (OFFLINE, "there is no connection to the server"),
        ("data.zip", "Invalid URL 'data.zip'"),
    ],
)
def test_what_cannot_be_had(server, tmp_path, address, reason):
    with pytest.raises(
        In9Error, match=rf"could not be fetched \({reason}.*\); fetch it by other means and put it at .*data.zip"
    ):
        fetch(address.format(server.address), tmp_path / "data.zip", SHA, progress=False)
    assert names(tmp_path) == []


def test_a_silent_server(server, tmp_path, monkeypatch):
    monkeypatch.setattr("in9.data.fetch.TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(Handler, "do_GET", lambda handler: threading.Event().wait(0.6))
    with pytest.raises(In9Error, match=r"\(the server does not answer\)"):
        fetch(f"{server.address}/data.zip", tmp_path / "data.zip", progress=False)


def test_a_full_disk_and_a_place_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file where a folder should be")
    with pytest.raises(In9Error, match="cannot be written"):
        fetch(f"{server.address}/data.zip", tmp_path / "file" / "data.zip")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("in9.data.fetch.tqdm.update", full)
    with pytest.raises(In9Error, match=r"disk is full while writing .* it goes on where it stopped"):
        fetch(f"{server.address}/data.zip", tmp_path / "data.zip", progress=False)
    assert not (tmp_path / "data.zip").exists()


# ---- the datasets ---------------------------------------------------------------------------------------------------


def taped(folder, top="bg_challenge", mode="w:gz"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tape:
        tape.add(folder, arcname=top)
    return stream.getvalue()


def zipped(folder):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))
    return stream.getvalue()


@pytest.mark.parametrize(
    "pack", [taped, lambda folder: taped(folder, "."), lambda folder: taped(folder, mode="w"), zipped]
)
def test_the_released_test_set(server, exported, tmp_path, pack):
    content = pack(exported)
    server.files["/data.tar.gz"] = content
    target = tmp_path / "data" / "released"
    fetched = fetch_released(target, f"{server.address}/data.tar.gz", progress=False)
    assert fetched == Fetched(target, "sha256:" + hashlib.sha256(content).hexdigest())
    assert str(fetched) == f"{target} ({fetched.checksum})"
    assert Released(target).folder == target and Released(target).hash == Released(exported).hash
    assert names(target.parent) == ["released"]
    with pytest.raises(In9Error, match="released is there already; use it, or remove it"):
        fetch_released(target, f"{server.address}/data.tar.gz")


def test_a_given_checksum_must_hold(server, exported, tmp_path):
    server.files["/data.tar.gz"] = taped(exported)
    with pytest.raises(In9Error, match="another file than asked for"):
        fetch_released(tmp_path / "released", f"{server.address}/data.tar.gz", SHA, progress=False)
    assert names(tmp_path) == []


def test_an_archive_that_was_put_there_by_hand_is_used_and_kept(server, exported, tmp_path):
    (tmp_path / "data.tar.gz").write_bytes(taped(exported))
    fetch_released(tmp_path / "released", "http://127.0.0.1:9/data.tar.gz", progress=False)
    assert names(tmp_path) == ["data.tar.gz", "released"]


def member(name, **facts):
    """An archive of one small file, or of a link."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tape:
        info = tarfile.TarInfo(name)
        info.size = 4 if not facts else 0
        for fact, value in facts.items():
            setattr(info, fact, value)
        tape.addfile(info, io.BytesIO(b"evil"))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        member("../evil.txt"),
        member("a/../../evil.txt"),
        member("link", type=tarfile.SYMTYPE, linkname="../../elsewhere"),
        member("device", type=tarfile.CHRTYPE),
    ],
)
def test_an_archive_that_would_leave_its_folder_is_refused(server, tmp_path, content):
    server.files["/data.tar"] = content
    with pytest.raises(In9Error, match="was not unpacked, for one of its files would leave the folder"):
        fetch_released(tmp_path / "in" / "released", f"{server.address}/data.tar", progress=False)
    assert names(tmp_path) == ["in"] and names(tmp_path / "in") == ["data.tar"]


def test_a_zip_stays_in_its_folder(server, tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../../evil.txt", b"evil")
    server.files["/data.zip"] = stream.getvalue()
    with pytest.raises(In9Error, match=r"is not the whole test set, remove it and fetch it again: .*looked for"):
        fetch_released(tmp_path / "in" / "released", f"{server.address}/data.zip", progress=False)
    assert names(tmp_path) == ["in"] and names(tmp_path / "in") == ["data.zip"]


def test_a_damaged_or_incomplete_archive(server, exported, tmp_path):
    whole = taped(exported)
    for content in (b"<html>", whole[: len(whole) // 2], whole[:3000] + b"damage" + whole[3006:]):
        server.files["/data.tar.gz"] = content
        with pytest.raises(In9Error, match=r"data.tar.gz is not a whole archive; remove it and fetch it again"):
            fetch_released(tmp_path / "released", f"{server.address}/data.tar.gz", progress=False)
        assert names(tmp_path) == ["data.tar.gz"]
        (tmp_path / "data.tar.gz").unlink()
    server.files["/data.tar.gz"] = taped(exported / "original", "bg_challenge/original")
    with pytest.raises(In9Error, match=r"data.tar.gz is not the whole test set, remove it .*has no only_bg_b/val"):
        fetch_released(tmp_path / "released", f"{server.address}/data.tar.gz", progress=False)
    assert "released" not in names(tmp_path)


def test_tiny_imagenet(server, tmp_path):
    for path, target in ((tmp_path / "here", "tiny-imagenet-200.zip"), (tmp_path / "there" / "tiny.zip", "tiny.zip")):
        fetched = fetch_tiny_imagenet(path, f"{server.address}/data.zip", MD5, progress=False)
        assert fetched.path.name == target and fetched.path.read_bytes() == CONTENT and fetched.checksum == SHA
    with pytest.raises(
        In9Error, match=r"put it at .*tiny-imagenet-200.zip, or give it with --archive where it is used"
    ):
        fetch_tiny_imagenet(tmp_path / "gone", OFFLINE, progress=False)


def test_tiny_imagenet_goes_to_the_cache(server, tmp_path, monkeypatch):
    monkeypatch.setattr("in9.data.sources.tiny_imagenet.cache", lambda: tmp_path / "cache")
    fetched = fetch_tiny_imagenet(url=f"{server.address}/data.zip", checksum=SHA, progress=False)
    assert fetched.path == tmp_path / "cache" / "tiny-imagenet-200.zip" and fetched.checksum == checksum_of(
        fetched.path
    )
    with pytest.raises(In9Error, match="is there but has not the checksum"):  # the source looks in the same place
        TinyImageNet()
