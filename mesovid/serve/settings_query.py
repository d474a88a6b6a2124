"""The settings of a scan as query parameters.

They are made of the same fields as the command line's options.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from mesovid.scanner import Options
from mesovid.settings import FaceSettings, RuntimeSettings, SampleSettings, ScanSettings, Settings

GROUPS: tuple[type[Settings], ...] = (ScanSettings, SampleSettings, FaceSettings)


def _fields() -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for cls in GROUPS:
        for field in dataclasses.fields(cls):
            if field.metadata:
                about = field.metadata
                bounds = {"ge": about["at_least"], "le": about["at_most"]}
                fields[field.name] = (
                    field.type,
                    Field(
                        default=field.default,
                        description=about["help"],
                        **{name: value for name, value in bounds.items() if value is not None},
                    ),
                )
    return fields


# extra: other parameters of a route share the query with these
ScanQuery: type[BaseModel] = create_model(
    "ScanQuery", __config__=ConfigDict(extra="ignore"), **_fields()
)


def options_of(query: BaseModel, runtime: RuntimeSettings) -> Options:
    """The settings as a Scanner takes them. SettingsError when they contradict each other."""
    values: Mapping[str, Any] = query.model_dump()
    scan, sample, faces = (
        cls(
            **{
                field.name: values[field.name]
                for field in dataclasses.fields(cls)
                if field.metadata
            }
        )
        for cls in GROUPS
    )
    return Options(
        typing.cast(ScanSettings, scan),
        typing.cast(SampleSettings, sample),
        typing.cast(FaceSettings, faces),
        runtime,
    )
