"""Artifacts: listed exactly, packed the same way twice, unpacked without trust."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import tracemalloc

import pytest

from osiris.core.artifacts import list_artifacts, pack, unpack, verify
from osiris.core.errors import CollectError

CONTENT = {
    "report.txt": b"hello\n",
    "empty": b"",
    "a/b/c.bin": bytes(range(256)) * 5000,
    "a/b.txt": b"x",
    "a.txt": b"y",
    "Příliš žluťoučký/kůň 🐎.csv": "ž".encode(),
    ".hidden/file": b"z",
    "x" * 120 + "/" + "y" * 120: b"long",
}
COMPRESSIONS = ["gzip", "zstd", None]


@pytest.fixture
def kept(tmp_path):
    folder = tmp_path / "artifacts"
    for name, content in CONTENT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "nothing here").mkdir()
    (folder / "a.txt").chmod(0o755)
    return folder


def test_every_file_is_listed_with_size_and_hash_in_order(kept):
    listed = list_artifacts(kept)
    assert [item["path"] for item in listed] == sorted(CONTENT)
    for item in listed:
        content = CONTENT[item["path"]]
        assert item == {"path": item["path"], "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_folder_that_is_not_there_has_none(tmp_path):
    assert list_artifacts(tmp_path / "none") == []


def test_what_is_no_folder_or_cannot_be_read_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CollectError) as caught:
        list_artifacts(tmp_path / "file")
    assert caught.value.code == "artifacts.unreadable"


def test_links_to_outside_are_not_followed(tmp_path, kept):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("s")
    (kept / "link").symlink_to(secret / "key")
    (kept / "folder").symlink_to(secret, target_is_directory=True)
    (kept / "relative").symlink_to("../secret/key")
    (kept / "dangling").symlink_to("nowhere")
    (kept / "circle").symlink_to("circle")
    (kept / "inside").symlink_to("a/b.txt")
    (kept / "loop").symlink_to(kept, target_is_directory=True)
    os.mkfifo(kept / "pipe")
    assert [item["path"] for item in list_artifacts(kept)] == sorted([*CONTENT, "inside"])
    unpacked = unpack(pack(kept, tmp_path / "a.tar"), tmp_path / "home")
    assert unpacked == list_artifacts(kept)
    assert not (tmp_path / "home" / "inside").is_symlink()


def test_hashing_needs_little_memory(tmp_path):
    with (tmp_path / "big").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    tracemalloc.start()
    try:
        (item,) = list_artifacts(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert item["size"] == 64 * 1024 * 1024
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_unpacking_gives_what_was_packed(kept, tmp_path, compression):
    archive = pack(kept, tmp_path / "kept.archive", compression)
    home = tmp_path / "home"
    assert unpack(archive, home) == list_artifacts(kept) == list_artifacts(home)
    assert (home / "nothing here").is_dir()
    assert stat.S_IMODE((home / "a.txt").stat().st_mode) & 0o100
    assert int((home / "a.txt").stat().st_mtime) == int((kept / "a.txt").stat().st_mtime)
    verify(list_artifacts(kept), home)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_same_files_give_the_same_bytes(kept, tmp_path, compression):
    one = pack(kept, tmp_path / "one", compression).read_bytes()
    assert pack(kept, tmp_path / "two", compression).read_bytes() == one
    if compression:
        assert len(one) < sum(map(len, CONTENT.values())) / 10


def test_gzip_is_what_tar_reads(kept, tmp_path):
    with tarfile.open(pack(kept, tmp_path / "a.tar.gz")) as tar:
        assert {member.name for member in tar if member.isfile()} == set(CONTENT)
        assert {(member.uid, member.uname, member.gname) for member in tar} == {(0, "", "")}


def test_an_archive_inside_the_folder_does_not_hold_itself(kept):
    first = pack(kept, kept / "all.tar", None).read_bytes()
    assert pack(kept, kept / "all.tar", None).read_bytes() == first
    assert [item["path"] for item in list_artifacts(kept)] == sorted([*CONTENT, "all.tar"])


def test_nothing_to_pack_is_an_archive_too(tmp_path):
    archive = pack(tmp_path / "none", tmp_path / "a.tar.gz")
    assert unpack(archive, tmp_path / "home") == []
    assert (tmp_path / "home").is_dir()


def test_a_failed_pack_leaves_the_old_archive(kept, tmp_path):
    target = tmp_path / "a.tar"
    target.write_bytes(b"old")
    with pytest.raises(CollectError) as caught:
        pack(kept, target, "lzma")
    assert caught.value.code == "artifacts.pack_failed"
    assert "lzma" in caught.value.message
    assert target.read_bytes() == b"old"
    with pytest.raises(CollectError):
        pack(kept, tmp_path / "none" / "a.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "artifacts"]


def archive_of(path, *members):
    with tarfile.open(path, "w") as tar:
        for name, kind, extra in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(extra)
                tar.addfile(member, io.BytesIO(extra))
            else:
                member.linkname = extra
                tar.addfile(member)
    return path


@pytest.mark.parametrize(
    "member",
    [
        ("../evil", tarfile.REGTYPE, b"x"),
        ("a/../../evil", tarfile.REGTYPE, b"x"),
        ("/tmp/evil", tarfile.REGTYPE, b"x"),
        (".", tarfile.REGTYPE, b"x"),
        ("../evil", tarfile.DIRTYPE, ""),
        ("link", tarfile.SYMTYPE, "/etc/passwd"),
        ("link", tarfile.SYMTYPE, "inside"),
        ("hard", tarfile.LNKTYPE, "../../secret"),
        ("pipe", tarfile.FIFOTYPE, ""),
        ("device", tarfile.CHRTYPE, ""),
    ],
)
def test_members_that_do_not_belong_there_are_refused(tmp_path, member):
    archive = archive_of(tmp_path / "a.tar", member)
    home = tmp_path / "deep" / "home"
    with pytest.raises(CollectError) as caught:
        unpack(archive, home)
    assert caught.value.code == "artifacts.unsafe"
    assert caught.value.facts["member"] == member[0]
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "deep"]


def test_links_that_are_there_already_are_not_written_through(tmp_path):
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    (outside / "file").write_text("mine")
    (home / "folder").symlink_to(outside, target_is_directory=True)
    (home / "file").symlink_to(outside / "file")
    for name in ("folder/x", "folder/deeper/x"):
        with pytest.raises(CollectError, match="through a link"):
            unpack(archive_of(tmp_path / "a.tar", (name, tarfile.REGTYPE, b"x")), home)
    unpack(archive_of(tmp_path / "a.tar", ("file", tarfile.REGTYPE, b"x")), home)
    assert (outside / "file").read_text() == "mine"
    assert list(outside.iterdir()) == [outside / "file"]
    assert (home / "file").read_text() == "x"


def test_a_bomb_is_stopped(tmp_path):
    (tmp_path / "big").mkdir()
    with (tmp_path / "big" / "zeros").open("wb") as file:
        file.truncate(20_000_000)
    archive = pack(tmp_path / "big", tmp_path / "a.tar.gz")
    assert archive.stat().st_size < 100_000
    with pytest.raises(CollectError) as caught:
        unpack(archive, tmp_path / "home", max_bytes=1_000_000)
    assert caught.value.code == "artifacts.unsafe"
    assert list((tmp_path / "home").iterdir()) == []
    assert unpack(archive, tmp_path / "home", max_bytes=20_000_000)[0]["size"] == 20_000_000


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "missing"])
def test_a_damaged_archive_is_told(kept, tmp_path, compression, damage):
    archive = pack(kept, tmp_path / "a", compression)
    whole = archive.read_bytes()
    if damage == "missing":
        archive.unlink()
    else:
        archive.write_bytes(
            {"truncated": whole[: len(whole) // 2], "garbage": b"\x1f\x8bnothing", "empty": b""}[damage]
        )
    with pytest.raises(CollectError) as caught:
        unpack(archive, tmp_path / "home")
    assert caught.value.code == "artifacts.unpack_failed"
    leftover = [path for path in (tmp_path / "home").rglob("*") if path.name.endswith(".part")]
    assert leftover == []


def test_verify_names_what_is_wrong(kept):
    wanted = list_artifacts(kept)
    (kept / "a.txt").write_bytes(b"Y")
    (kept / "empty").unlink()
    (kept / "new").write_bytes(b"")
    with pytest.raises(CollectError) as caught:
        verify(wanted, kept)
    facts = caught.value.facts
    assert (facts["changed"], facts["missing"], facts["unexpected"]) == (["a.txt"], ["empty"], ["new"])
    assert caught.value.retryable
