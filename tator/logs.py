"""The logger `tator`, and the one handler that `Configuration.debug` adds to it."""

from __future__ import annotations

import logging

from tator import checks

DEFAULT_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

logger: logging.Logger = logging.getLogger("tator")
logger.addHandler(logging.NullHandler())

_handlers: list[logging.Handler] = []  # ours, one at most
_level_before = logging.NOTSET  # the logger's level before our handler


def start(path: str | None, line_format: str) -> None:
    """Log each attempt to a file, or to standard error; an earlier handler is removed.

    Args:
        path: The file's path, or `None` for standard error.
        line_format: The format of a line, in the notation of `logging.Formatter`.

    Raises:
        ApiValueError: If the file can't be written, or the format is not valid.
    """
    global _level_before
    try:
        formatter = logging.Formatter(line_format)
        handler = logging.FileHandler(path) if path else logging.StreamHandler()
    except (OSError, ValueError) as error:
        checks.reject("logger_file or logger_format", f"could not be used: {error}")
    stop()
    handler.setFormatter(formatter)
    _level_before = logger.level
    _handlers.append(handler)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def stop() -> None:
    """Remove our handler, and restore the logger's level."""
    while _handlers:
        handler = _handlers.pop()
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(_level_before)
