"""The connection that a step names, checked."""

from __future__ import annotations

from pydantic import ValidationError

from osiris.core.driver import StepContext
from osiris.core.errors import DriverError
from osiris.drivers.mysql.config import MySqlConnection, MySqlTls

__all__ = ["connection_of"]


def connection_of(ctx: StepContext) -> MySqlConnection:
    """The step's connection; paths of certificates begin in the pipeline file's folder.

    Raises:
        DriverError: ``mysql.no_connection``: there is none; ``mysql.bad_connection``: it does not fit its model.
    """
    if ctx.connection is None:
        raise DriverError(
            "the step has no mysql connection",
            hint='describe one in osiris_connections.yaml, and give the step `connection: "@mysql"`',
            code="mysql.no_connection",
        )
    try:
        options = MySqlConnection.model_validate(dict(ctx.connection))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        )
        # Without its cause, whose text would show what was given.
        raise DriverError(
            f"the mysql connection is not valid: {wrong}",
            hint="see the connection in osiris_connections.yaml, and what its variables hold",
            code="mysql.bad_connection",
        ) from None
    if not isinstance(options.ssl, MySqlTls):
        return options
    files = {name: getattr(options.ssl, name) for name in ("ca", "cert", "key")}
    found = {name: str(ctx.resolve_path(path)) for name, path in files.items() if path is not None}
    return options.model_copy(update={"ssl": options.ssl.model_copy(update=found)})
