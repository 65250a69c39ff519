"""One handler on one logger writes the attempts; nothing else is touched."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tator import logs
from tator.exceptions import ApiValueError

pytestmark = pytest.mark.fast


@pytest.fixture(autouse=True)
def _stopped() -> Iterator[None]:
    yield
    logs.stop()


def test_the_handler_writes_to_a_file(tmp_path: Path) -> None:
    """In the format that was asked for, whatever the level of the logger was."""
    file = tmp_path / "tator.log"
    logs.logger.setLevel(logging.ERROR)
    logs.start(str(file), "%(levelname)s %(message)s")
    logs.logger.debug("words")
    logs.stop()
    logs.logger.debug("more")
    assert file.read_text(encoding="utf-8") == "DEBUG words\n"
    assert logs.logger.level == logging.ERROR
    logs.logger.setLevel(logging.NOTSET)


def test_the_handler_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file, in the default format."""
    logs.start(None, logs.DEFAULT_FORMAT)
    logs.logger.debug("words")
    assert capsys.readouterr().err.endswith(" DEBUG tator words\n")


def test_a_handler_that_is_started_again_replaces_the_first(tmp_path: Path) -> None:
    """The last one counts, and the level of the logger is kept from before the first."""
    before = list(logs.logger.handlers)
    root = list(logging.getLogger().handlers), list(logging.getLogger("urllib3").handlers)
    for name in ("a", "b", "b"):
        logs.start(str(tmp_path / name), "%(message)s")
    logs.logger.debug("words")
    assert len(logs.logger.handlers) == len(before) + 1
    assert [(tmp_path / name).read_text(encoding="utf-8") for name in "ab"] == ["", "words\n"]
    logs.stop()
    logs.stop()
    assert (logs.logger.handlers, logs.logger.level) == (before, logging.NOTSET)
    assert root == (logging.getLogger().handlers, logging.getLogger("urllib3").handlers)


@pytest.mark.parametrize(
    ("path", "line_format"),
    [("", "no field"), ("", "%(nonsense"), (".", "%(message)s"), ("\0", "")],
)
def test_a_log_that_cannot_be_written_is_rejected(
    tmp_path: Path, path: str, line_format: str
) -> None:
    """The handler that was there goes on."""
    logs.start(str(tmp_path / "a"), "%(message)s")
    with pytest.raises(ApiValueError, match=r"^logger_file or logger_format could not be used: "):
        logs.start(path and str(tmp_path / path), line_format)
    logs.logger.debug("words")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "words\n"


def test_the_logger_is_quiet_without_a_handler(capsys: pytest.CaptureFixture[str]) -> None:
    """A library writes nothing unless it is asked to."""
    logs.logger.error("words")
    assert capsys.readouterr().err == ""
