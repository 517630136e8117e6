"""Files through the unmodified SDK."""

from __future__ import annotations

import hashlib
import io
import os
import urllib.request

import pytest
from e2b import FileNotFoundException, InvalidArgumentException, SandboxException
from e2b.sandbox.filesystem.filesystem import FileType


def test_write_and_read_text(sandbox):
    written = sandbox.files.write("deep/down/note.txt", "žluť\n")
    assert (written.path, written.name) == ("/home/user/deep/down/note.txt", "note.txt")
    assert sandbox.files.read("/home/user/deep/down/note.txt") == "žluť\n"
    assert sandbox.files.read("~/deep/down/note.txt") == "žluť\n"
    assert sandbox.commands.run("cat deep/down/note.txt").stdout == "žluť\n"


def test_a_write_replaces_in_place(sandbox):
    sandbox.files.write("note", "a long text")
    sandbox.files.write("note", "short")
    assert sandbox.files.read("note") == "short"


def test_ten_megabytes_each_way(sandbox):
    data = os.urandom(10_000_000)
    right = hashlib.sha256(data).hexdigest()
    sandbox.files.write("whole", data)
    sandbox.files.write("streamed", io.BytesIO(data))
    sandbox.files.write("pieces", iter([data[:1000], data[1000:]]))
    sandbox.files.write("squeezed", data, gzip=True)
    for name in ("whole", "streamed", "pieces", "squeezed"):
        assert sandbox.commands.run(f"sha256sum {name}").stdout.split()[0] == right
    assert bytes(sandbox.files.read("whole", format="bytes")) == data
    with sandbox.files.read("whole", format="stream") as stream:
        assert b"".join(stream) == data


def test_several_files_in_one_request(server, sandbox):
    files = [{"path": f"many/{number}.txt", "data": str(number)} for number in range(5)]
    assert len(sandbox.files.write_files(files)) == 5
    assert len(server.log.of("files.write", sandbox.sandbox_id)) == 1
    assert [sandbox.files.read(f"many/{number}.txt") for number in range(5)] == list("01234")


def test_empty_files(sandbox):
    sandbox.files.write("empty", b"")
    assert sandbox.files.read("empty") == ""
    assert bytes(sandbox.files.read("empty", format="bytes")) == b""


def test_list_and_stat(sandbox):
    sandbox.files.write("a/b/c.txt", "12345")
    sandbox.commands.run("ln -s b/c.txt a/link; chmod 640 a/b/c.txt")
    top = {one.name: one for one in sandbox.files.list("a")}
    assert {name: one.type for name, one in top.items()} == {"b": FileType.DIR, "link": FileType.SYMLINK}
    assert top["link"].symlink_target == "b/c.txt"
    assert [one.path for one in sandbox.files.list("a", depth=2)] == [
        "/home/user/a/b",
        "/home/user/a/b/c.txt",
        "/home/user/a/link",
    ]
    info = sandbox.files.get_info("a/b/c.txt")
    assert (info.size, info.mode, info.permissions, info.type) == (5, 0o640, "-rw-r-----", FileType.FILE)


def test_make_rename_remove(sandbox):
    assert sandbox.files.make_dir("x/y") is True
    assert sandbox.files.make_dir("x/y") is False
    sandbox.files.write("x/y/part", "data")
    assert sandbox.files.rename("x/y/part", "x/whole").path == "/home/user/x/whole"
    assert not sandbox.files.exists("x/y/part")
    sandbox.files.remove("x")
    sandbox.files.remove("x")
    assert not sandbox.files.exists("x/whole")


def test_what_is_not_there_or_is_a_folder(sandbox):
    with pytest.raises(FileNotFoundException):
        sandbox.files.read("nothing")
    with pytest.raises(FileNotFoundException):
        sandbox.files.read("nothing", format="stream")
    with pytest.raises(FileNotFoundException):
        sandbox.files.list("nothing")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.read("/tmp")
    with pytest.raises(SandboxException):
        sandbox.files.write("/tmp", "x")


def test_metadata_of_files(sandbox):
    sandbox.files.write("note", "x", metadata={"origin": "test"})
    assert sandbox.files.get_info("note").metadata == {"origin": "test"}


def test_signed_links_work_without_the_sdk(sandbox):
    sandbox.files.write("note", "0123456789")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    link = sandbox.download_url("note", use_signature_expiration=60)
    assert opener.open(link).read() == b"0123456789"
    part = urllib.request.Request(link, headers={"Range": "bytes=2-4"})
    assert opener.open(part).read() == b"234"
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(link.replace("note", ".profile"))
    refused.value.close()
    assert refused.value.code == 502  # no sandbox is known by that signature


def test_sandboxes_do_not_see_each_others_files(client, sandbox):
    other = client.Sandbox.create()
    other.files.write("/tmp/mine", "x")
    assert not sandbox.files.exists("/tmp/mine")


def test_watching_a_folder(sandbox):
    sandbox.files.make_dir("seen")
    watch = sandbox.files.watch_dir("seen")
    sandbox.files.write("seen/new", "x")
    assert ("new", "create") in {(event.name, event.type.value) for event in watch.get_new_events()}
    sandbox.files.remove("seen/new")
    assert ("new", "remove") in {(event.name, event.type.value) for event in watch.get_new_events()}
    watch.stop()
