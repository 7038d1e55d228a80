"""Fixtures for everyone: a tiny synthetic capture, and the folder of real test data where there is one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import browser
from tests.fixtures import make_mini_capture


@pytest.fixture(scope="session")
def mini_capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny synthetic capture. Shared: read it, do not change it (copy it first)."""
    return make_mini_capture(tmp_path_factory.mktemp("demo") / "mini")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder named by `MOBAVATAR_TEST_DATA`; tests that need it are skipped without it."""
    value = os.environ.get("MOBAVATAR_TEST_DATA", "")
    if not value or not Path(value).is_dir():
        pytest.skip("MOBAVATAR_TEST_DATA does not name a folder with test data")
    return Path(value)


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """Headless Chromium that draws in software, one for each file of tests."""
    with browser() as opened:
        yield opened
