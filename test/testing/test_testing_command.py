"""`python -m tator.testing` starts a server by hand, and the fixture starts one for a test."""

from __future__ import annotations

import http.client
import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tator.testing import LocalTator, __main__

pytest_plugins = ["pytester"]


def test_the_plugin_loads_nothing() -> None:
    """pytest loads the plugin in every session, so it imports neither a server nor the SDK."""
    heavy = "{'ssl', 'urllib3', 'tator.testing.server', 'tator.testing.api', 'tator.rest'}"
    program = (
        "import sys; before = set(sys.modules); import tator.testing.pytest_plugin;"
        f"print({heavy} & set(sys.modules) - before)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "set()"


def test_each_test_has_a_server_for_itself(pytester: pytest.Pytester) -> None:
    """The fixture starts afresh for every test, and plays the generation that the test names."""
    pytester.makepyfile(
        """
        import http.client
        import pytest

        def job_group(server):
            connection = http.client.HTTPConnection(server.host.partition("//")[2])
            connection.request("DELETE", "/rest/JobGroup/x")
            status = connection.getresponse().status
            connection.close()
            return status

        def test_one(local_tator):
            local_tator.launch()
            assert len(local_tator.jobs) == 1
            assert job_group(local_tator) == 500

        @pytest.mark.parametrize("local_tator", ["2025-06"], indirect=True)
        def test_two(local_tator):
            assert local_tator.jobs == {}
            assert job_group(local_tator) == 404
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_a_project_chooses_its_generation_once(pytester: pytest.Pytester) -> None:
    """The fixture of the page's conftest.py replaces the default, and a test can still choose."""
    page = (Path(__file__).parents[2] / "docs/Testing.md").read_text(encoding="utf-8")
    pytester.makeconftest(page.partition("```python\n# conftest.py\n")[2].partition("```")[0])
    pytester.makepyfile(
        """
        import pytest
        import tator

        def cancel(server, **project):
            api = tator.get_api(server.host, server.token)
            return api.delete_job_group(server.launch(2, 7).group_id, **project).message

        def test_one(local_tator):
            assert cancel(local_tator, project=7).startswith("Deleted 2 jobs")

        @pytest.mark.parametrize("local_tator", ["2020-05"], indirect=True)
        def test_two(local_tator):
            assert cancel(local_tator).startswith("Deleted 2 jobs of group")
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_the_settings_to_paste(tmp_path: Path, number: signal.Signals) -> None:
    """It prints exports and IDs, logs requests, and ends cleanly."""
    command = [sys.executable, "-m", "tator.testing", "--jobs", "2", "--token", "secret"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        host = process.stdout.readline().strip().removeprefix("export TATOR_HOST=")
        assert process.stdout.readline() == "export TATOR_TOKEN=secret\n"
        assert process.stdout.readline() == "export PROJECT=1\n"
        assert process.stdout.readline().startswith("export GROUP_ID=")
        assert process.stdout.readline().startswith("export TRANSCODE_UID=")
        uid = process.stdout.readline().strip().removeprefix("export RUN_UID=")
        assert process.stdout.readline().startswith("export RUN_UIDS='")
        connection = http.client.HTTPConnection(host.partition("//")[2])
        connection.request("DELETE", f"/rest/Job/{uid}", headers={"Authorization": "Token secret"})
        assert connection.getresponse().status == 200
        connection.close()
        assert process.stderr.readline() == f"DELETE /rest/Job/{uid} 200\n"
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_its_command_says_which_port_is_taken(
    local_tator: LocalTator, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that can't be had is named, without a traceback."""
    port = local_tator.host.rpartition(":")[2]
    with pytest.raises(SystemExit, match="2"):
        __main__.main(["--port", port])
    assert f"could not use port {port}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--port", "99999", "could not use port 99999"),
        ("--jobs", "-1", "must be an integer"),
        ("--token", "a b", "must be printable ASCII"),
        ("--server", "2021-01", "2025-06"),
    ],
)
def test_its_command_says_which_option_is_wrong(
    option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value that no server can have is named, without a traceback."""
    with pytest.raises(SystemExit, match="2"):
        __main__.main([option, value])
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("server", "jobs", "status"), [("2020-05", 1, 500), ("2020-08", 3, 400), ("2025-06", 0, 404)]
)
def test_its_command_ends_with_a_signal(
    monkeypatch: pytest.MonkeyPatch, server: str, jobs: int, status: int
) -> None:
    """The command serves until a signal comes, puts the handlers back, and names each setting."""
    before = signal.getsignal(signal.SIGTERM)
    said: list[str] = []

    class Shell(io.StringIO):
        """Uses the server as soon as its settings are there, and stops it."""

        def flush(self) -> None:
            if said or "TRANSCODE_UID" not in self.getvalue():
                return
            said.extend(self.getvalue().splitlines())
            host = said[0].removeprefix("export TATOR_HOST=http://")
            connection = http.client.HTTPConnection(host)
            connection.request("DELETE", "/rest/Job/x")
            connection.getresponse().read()
            connection.close()
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(sys, "stdout", Shell())
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    __main__.main(["--jobs", str(jobs), "--token", "mine", "--server", server])
    settings = dict(line.removeprefix("export ").split("=", 1) for line in said)
    always = {"TATOR_HOST", "TATOR_TOKEN", "PROJECT", "GROUP_ID", "TRANSCODE_UID"}
    singles = {"RUN_UID": 1, "RUN_UIDS": jobs - 1}
    assert set(settings) == always | {name for name, count in singles.items() if jobs and count}
    assert len(settings.get("RUN_UIDS", "").split()) == max(jobs - 1, 0)
    assert signal.getsignal(signal.SIGTERM) is before
    assert log.getvalue() == f"DELETE /rest/Job/x {status}\n"
