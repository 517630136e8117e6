"""Templates through the unmodified SDK."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2b import E2B, BuildException, SandboxException, Template
from e2b_server import E2BServer, Options


@pytest.fixture(scope="module")
def builder():
    """A server that runs the steps of a template."""
    with E2BServer(options=Options(builds="run")) as server:
        yield server


def recipe(folder: Path) -> Template:
    (folder / "wheels").mkdir()
    (folder / "wheels" / "one.txt").write_text("one")
    (folder / "single.txt").write_text("single")
    return (
        Template(file_context_path=folder)
        .from_python_image("3.12")
        .copy("wheels", "/opt/wheels")
        .copy("single.txt", "/home/user/")
        .set_envs({"BUILT": "yes"})
        .run_cmd("echo building; echo made > /opt/made.txt")
    )


def test_exists_build_and_create(server, client, tmp_path):
    assert client.Template.exists("osiris-abc") is False
    lines = []
    built = client.Template.build(
        recipe(tmp_path),
        "osiris-abc",
        cpu_count=4,
        memory_mb=2048,
        on_build_logs=lambda entry: lines.append(str(entry)),
    )
    assert client.Template.exists("osiris-abc") is True
    sandbox = client.Sandbox.create(template="osiris-abc")
    info = sandbox.get_info()
    assert (info.template_id, info.cpu_count, info.memory_mb) == (built.template_id, 4, 2048)
    assert sandbox.commands.run("echo $BUILT").stdout == "yes\n"
    build = server.cloud.templates.known["osiris-abc"].tagged("default")
    assert [step["type"] for step in build.steps] == ["COPY", "COPY", "ENV", "RUN"]
    assert any("RUN" in line for line in lines)


def test_tags(client, tmp_path):
    client.Template.build(recipe(tmp_path), "tagged:1.0")
    assert client.Template.exists("tagged:1.0")
    assert not client.Template.exists("tagged:2.0")
    client.Template.assign_tags("tagged:1.0", ["2.0", "default"])
    for reference in ("tagged:1.0", "tagged:2.0", "tagged"):
        assert client.Sandbox.create(template=reference).kill()


def test_uploaded_files_are_not_uploaded_twice(server, client, tmp_path):
    template = recipe(tmp_path)
    client.Template.build(template, "first")
    before = len(server.log.of("upload"))
    client.Template.build(template, "second")
    assert len(server.log.of("upload")) == before


def test_a_build_that_fails(server, client, tmp_path):
    server.faults.fail_build("pip could not find it", step="4")
    with pytest.raises(BuildException, match="pip could not find it"):
        client.Template.build(recipe(tmp_path), "broken")
    assert client.Template.exists("broken")  # the name is taken, and nothing can be made from it
    with pytest.raises(SandboxException, match="404"):
        client.Sandbox.create(template="broken")


def test_a_build_in_the_background(client, tmp_path, until):
    info = client.Template.build_in_background(recipe(tmp_path), "later")
    until(lambda: client.Template.get_build_status(info).status.value == "ready")


def test_a_build_that_is_run(builder, tmp_path):
    client = E2B(**builder.connection)
    client.Template.build(recipe(tmp_path), "real")
    with client.Sandbox.create(template="real") as sandbox:
        assert sandbox.files.read("/opt/wheels/one.txt") == "one"
        assert sandbox.files.read("/home/user/single.txt") == "single"
        assert sandbox.files.read("/opt/made.txt") == "made\n"
        sandbox.files.write("/opt/made.txt", "changed")
        assert sandbox.commands.run("echo $BUILT; python3 -m pip --version").stdout.startswith("yes\npip ")
    with client.Sandbox.create(template="real") as sandbox:
        assert sandbox.files.read("/opt/made.txt") == "made\n"
    assert builder.sandboxes == []


def test_a_step_that_fails_for_real(builder, tmp_path):
    client = E2B(**builder.connection)
    template = Template(file_context_path=tmp_path).from_base_image().run_cmd("echo why; exit 9")
    lines = []
    with pytest.raises(BuildException, match="exit status 9"):
        client.Template.build(template, "fails", on_build_logs=lambda entry: lines.append(entry.message))
    assert "why" in lines
