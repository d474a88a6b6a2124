"""Help in sections: a command's options under headings, so that forty of them can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

REST = "Other options"


class Option(click.Option):
    """An option that knows its section."""

    def __init__(self, *words: Any, section: str | None = None, **about: Any) -> None:
        super().__init__(*words, **about)
        self.section = section


class Sections(click.Command):
    """A command whose help has its options in sections.

    `sections` are headings and the options under each, by one of their flags; those come first, in
    the order given. Options of settings bring their section with them, and one of the same name is
    continued. Whatever has none comes last.
    """

    def __init__(
        self, *words: Any, sections: Mapping[str, Sequence[str]] | None = None, **about: Any
    ) -> None:
        super().__init__(*words, **about)
        self._headings = {flag: name for name, flags in (sections or {}).items() for flag in flags}
        known = {flag for parameter in self.params for flag in parameter.opts}
        if unknown := self._headings.keys() - known:
            raise ValueError(f"{self.name} has no option {', '.join(sorted(unknown))} to list")

    def section_of(self, option: click.Option) -> str:
        """The heading that an option stands under."""
        own = (self._headings[flag] for flag in option.opts if flag in self._headings)
        return next(own, getattr(option, "section", None) or REST)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found: dict[str, list[tuple[str, str]]] = {name: [] for name in self._headings.values()}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                found.setdefault(self.section_of(parameter), []).append(record)
        rest = found.pop(REST, [])
        for name, records in found.items():
            with formatter.section(name):
                formatter.write_dl(records)
        if rest:
            with formatter.section(REST if found else "Options"):
                formatter.write_dl(rest)
