"""Fixtures of tests/scenario and tests/crash: see tests/support/godwit_support/fixtures.py."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))

from godwit_support.fixtures import *  # noqa: E402,F401,F403
from godwit_support.fixtures import _templates  # noqa: E402,F401


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures time, or does what it can in a given time: needs the machine for itself")
