"""Fixtures of tests/scenario and tests/crash: see tests/support/godwit_support/fixtures.py."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))

from godwit_support import scheduling  # noqa: E402
from godwit_support.fixtures import *  # noqa: E402,F401,F403
from godwit_support.fixtures import _templates  # noqa: E402,F401


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures short times: needs the machine for itself")
    config.addinivalue_line("markers", "long: begun before the others")


def pytest_collection_modifyitems(items):
    scheduling.long_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return scheduling.OneByOne(config, log)
