"""A few hundred damaged avatar files through both readers; `tests/bench/fuzz_bundle.py` runs as many as one likes."""

import shutil

import pytest

from tests.bench import fuzz_bundle


@pytest.mark.skipif(
    shutil.which("node") is None or not (fuzz_bundle.VIEWER / "node_modules").is_dir(),
    reason="the page's reader needs node and the packages of web_export/viewer (npm ci there)",
)
def test_damaged_files_are_errors_or_the_same_avatar_in_both_readers():
    found = fuzz_bundle.run(300, seed=1)
    assert not found.failures
    assert found.files == 300 and 0 < found.read_by["python"] == found.read_by["page"] < 150


def test_what_counts_as_a_failure():
    fine, error = {"sum": "a", "ms": 1.0}, {"error": "damaged", "is_ours": True, "ms": 1.0}
    assert fuzz_bundle.failure("a", False, fine, fine) is None
    assert fuzz_bundle.failure("a", False, error, error) is None
    assert "another avatar" in str(fuzz_bundle.failure("b", False, fine, error))
    assert "different arrays" in str(fuzz_bundle.failure("b", True, fine, {"sum": "c", "ms": 1.0}))
    assert "only python refuses: damaged" in str(fuzz_bundle.failure("a", True, error, fine))
    assert "only page refuses: damaged" in str(fuzz_bundle.failure("a", True, fine, error))
    assert "page: TypeError" in str(
        fuzz_bundle.failure("a", True, fine, {"error": "TypeError", "is_ours": False, "ms": 1.0})
    )
    assert "took 9000 ms" in str(fuzz_bundle.failure("a", True, fine | {"ms": 9000.0}, error))
