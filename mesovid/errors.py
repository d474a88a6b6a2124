"""The kinds of errors, few of them.

Each message says what was wrong, with the value, and what would be right.
"""

from __future__ import annotations


class MesovidError(Exception):
    """Base of every error that mesovid raises on purpose.

    Its text is one line for a person.
    """

    exit_status = 1


def without_path(error: MesovidError, path: object) -> str:
    """What an error says of a file, for a place that names the file already."""
    return str(error).removeprefix(f"{path}: ")


class InputError(MesovidError):
    """A video, picture or folder that cannot be used as asked."""


class OutputError(MesovidError):
    """A result that could not be written; it ends the command.

    The disk is full, a pipe is closed, or a folder has gone.
    """


class ModelError(MesovidError):
    """A model, card or weight file that is missing, damaged, foreign or does not fit its use."""

    exit_status = 2


class DatasetError(MesovidError):
    """A dataset that is malformed, inconsistent or leaks between its splits."""


class TrainingError(MesovidError):
    """A training run that cannot start, continue or end as asked."""


class SettingsError(MesovidError):
    """An option whose value is out of range, unknown or contradicts another one."""

    exit_status = 2
