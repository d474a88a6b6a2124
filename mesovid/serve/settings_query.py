"""The settings of a scan as query parameters.

They are made of the same fields as the command line's options.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from mesovid.scanner import Options
from mesovid.settings import FaceSettings, RuntimeSettings, SampleSettings, ScanSettings, Settings

GROUPS: tuple[type[Settings], ...] = (ScanSettings, SampleSettings, FaceSettings)


def fields_of(groups: Sequence[type[Settings]], skip: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of settings as those of a pydantic model."""
    fields: dict[str, Any] = {}
    for cls in groups:
        for field in dataclasses.fields(cls):
            if field.metadata and field.name not in skip:
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
    "ScanQuery", __config__=ConfigDict(extra="ignore"), **fields_of(GROUPS)
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
