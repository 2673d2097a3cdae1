"""A skipped test is a failure: what is not run proves nothing."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest  # noqa: E402

from focusmae import device  # noqa: E402

_skipped: list[str] = []


def pytest_configure(config):
    device.setup()


def pytest_runtest_logreport(report):
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session, exitstatus):
    if _skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    for name in _skipped:
        terminalreporter.write_line(f"skipped, which counts as failed: {name}", red=True)
