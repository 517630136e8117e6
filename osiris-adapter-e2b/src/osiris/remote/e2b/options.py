"""What ``--adapter-option`` may set for the E2B adapter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from osiris.core.errors import UsageError

__all__ = ["E2BOptions", "valid_options"]


def _as_list(value: Any) -> Any:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _as_mapping(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    pairs = [item.partition("=") for item in _as_list(value)]
    if any(not sign for _, sign, _ in pairs):
        raise ValueError("write it as NAME=value,OTHER=value")
    return {name.strip(): text for name, _, text in pairs}


def _as_network(value: Any) -> Any:
    if not isinstance(value, str) or value in ("on", "off"):
        return value
    return _as_list(value)


Names = Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]], BeforeValidator(_as_list)]
Url = Annotated[str, Field(pattern=re.compile(r"^https?://\S+$"))]


class E2BOptions(BaseModel):
    """Where, how large and how long; and what goes along."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    api_key: str | None = Field(
        default=None, min_length=1, repr=False, description="E2B's key; default the variable `E2B_API_KEY`"
    )
    template: str | None = Field(
        default=None,
        min_length=1,
        description="A template of yours, by name or id; default one that is built for what the plan needs",
    )
    cpu: int | None = Field(default=None, ge=1, le=64, description="Processors of the template that is built")
    memory_gb: float | None = Field(default=None, gt=0, le=512, description="Memory of the template that is built")
    timeout: int = Field(
        default=300,
        ge=1,
        le=86_400,
        description="Seconds that the sandbox lives on when nobody extends its life any more",
    )
    env: Annotated[dict[str, str], BeforeValidator(_as_mapping)] = Field(
        default_factory=dict, repr=False, description="Variables of the worker, as `NAME=value,OTHER=value`"
    )
    pass_env: Names = Field(
        default_factory=list, description="Names of variables of this process that the worker gets, too; no others"
    )
    install: Literal["auto", "template", "pip", "none"] = Field(
        default="auto",
        description="`template`: dependencies are in a template that is built once. `pip`: they are installed "
        "in the sandbox where they are missing. `none`: they are there. `auto`: `template` where no"
        " template is given, else `pip`",
    )
    keep_sandbox: bool = Field(
        default=False, description="Leave the sandbox to its time instead of killing it, to look into it"
    )
    network: Annotated[Literal["on", "off"] | list[str] | dict[str, Any], BeforeValidator(_as_network)] = Field(
        default="on",
        description="`on`, `off`, the hosts and networks that may be reached, or E2B's own rules as a mapping",
    )
    include: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        default_factory=list,
        description="Further files, folders and globs of the project that the pipeline reads or writes",
    )
    domain: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9.:-]+$", description="Where E2B, or who speaks as it does, is"
    )
    api_url: Url | None = Field(default=None, description="Its API, where that is elsewhere")
    sandbox_url: Url | None = Field(default=None, description="Its sandboxes, where those are elsewhere")
    heartbeat: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Seconds between the worker's signs of life; after three without one, the stream is taken anew",
    )
    patience: float = Field(
        default=90.0,
        ge=1,
        le=86_400,
        description="Seconds that the worker goes on without a sign of this process, which may be dead; "
        "then it stops its run. For half of it a lost stream is looked for again",
    )
    cancel_patience: float = Field(
        default=10.0,
        gt=0,
        description="Seconds that a cancelled worker gets to stop by itself; then it is stopped by signals",
    )
    request_timeout: float = Field(default=30.0, gt=0, description="Seconds that one request to E2B may take")

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.template is not None and (self.cpu is not None or self.memory_gb is not None):
            raise ValueError("cpu and memory_gb belong to a template that is built; `template` has its own")
        if self.template is not None and self.install == "template":
            raise ValueError("install=template builds a template; give either that or `template`")
        if self.template is None and self.install in ("pip", "none") and (self.cpu or self.memory_gb):
            raise ValueError("cpu and memory_gb need install=template: E2B sets them when a template is built")
        return self

    @property
    def builds_template(self) -> bool:
        """Whether the template is ours to build."""
        return self.template is None and self.install in ("auto", "template")

    @property
    def internet(self) -> bool:
        """Whether the sandbox may reach anything but what the rules allow."""
        return self.network != "off"

    @property
    def rules(self) -> dict[str, Any] | None:
        """E2B's form of the network's rules."""
        if isinstance(self.network, dict):
            return self.network
        if isinstance(self.network, list):
            return {"allow_out": list(self.network), "deny_out": ["0.0.0.0/0"]}
        return None


def valid_options(options: Mapping[str, Any]) -> E2BOptions:
    """The options of an adapter that a program makes.

    Raises:
        UsageError: One is unknown or does not fit; values are not told.
    """
    try:
        return E2BOptions.model_validate(dict(options))
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'options'}: {item['msg']}" for item in error.errors()
        )
        raise UsageError(
            f"the E2B adapter cannot take its options: {mistakes}",
            hint=f"its options are {', '.join(sorted(E2BOptions.model_fields))}",
            code="usage.adapter_option",
        ) from None
