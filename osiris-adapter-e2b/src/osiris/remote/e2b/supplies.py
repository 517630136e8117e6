"""All that a plan needs in a sandbox: found, then packed, while the sandbox comes up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from osiris.core.engine.settings import RunSettings
from osiris.core.execution_adapter import PreparedRun
from osiris.core.remote import distributions_of
from osiris.remote.e2b.cargo import Cargo, pack_cargo
from osiris.remote.e2b.inputs import LocalFiles, find_files, session_files
from osiris.remote.e2b.modules import Modules, find_modules, named_functions
from osiris.remote.e2b.options import E2BOptions
from osiris.remote.e2b.requirements import Needs, find_needs

if TYPE_CHECKING:
    from osiris.core.planning import Plan

__all__ = ["Supplies"]


class Supplies:
    """Distributions, modules and files of one run. Both methods take time and may be called from any thread.

    Args:
        prepared: From the engine.
        settings: The run's.
        options: The adapter's.
        folder: A folder for the archive.
    """

    def __init__(self, prepared: PreparedRun, settings: RunSettings, options: E2BOptions, folder: Path) -> None:
        self._prepared = prepared
        self._settings = settings
        self._options = options
        self._archive = folder / "cargo.tar.gz"
        self._base_dir = settings.base_dir.absolute()
        self._modules = Modules()
        self.files = LocalFiles()
        """The local files that the pipeline names; known after :meth:`pack`."""

    def find(self) -> Needs:
        """What the plan stands on.

        Raises:
            PrepareError: ``e2b.cannot_pack``: a distribution is not to be found.
        """
        plan: Plan = self._prepared.package
        functions = {
            name
            for step in plan.steps
            if "python" in step.spec.capabilities
            for name in named_functions(self._prepared.configs[step.id])
        }
        self._modules = find_modules(functions, self._base_dir)
        distributions = {*distributions_of(plan), *self._modules.distributions}
        return find_needs(distributions, {need for step in plan.steps for need in step.spec.needs})

    def pack(self, needs: Needs) -> Cargo:
        """Write all of it into one archive.

        Raises:
            PrepareError: ``e2b.unreadable_input``: a file cannot be read.
        """
        prepared, options = self._prepared, self._options
        files = find_files(prepared.package, prepared.configs, prepared.environment, self._base_dir, options.include)
        files.sent |= session_files(self._settings.session_dir.absolute())
        self.files = files
        return pack_cargo(self._archive, needs.wheels, self._modules, files, {"cwd": str(self._base_dir)})
