"""What mesovid does, for whoever looks for a fault: `mesovid --debug COMMAND`, or MESOVID_DEBUG=1.

Every module logs to a logger of its own name below `mesovid`; nothing is shown unless it is asked
for. Worker processes take the wish over by the environment.
"""

from __future__ import annotations

import logging
import os

VARIABLE = "MESOVID_DEBUG"
FORMAT = "%(asctime)s %(processName)s %(name)s: %(message)s"

logging.getLogger("mesovid").addHandler(logging.NullHandler())  # else Python shows warnings itself


def wanted() -> bool:
    """Whether debugging was asked for."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def ask() -> None:
    """Ask for it, for this process and those that it starts."""
    os.environ[VARIABLE] = "1"
    configure()


def configure() -> None:
    """Show what is logged on stderr, if it is wanted."""
    logger = logging.getLogger("mesovid")
    if wanted() and not any(isinstance(each, logging.StreamHandler) for each in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
