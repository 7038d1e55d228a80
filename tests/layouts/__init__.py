"""One known truth, written in every capture layout and read back: `truth.py`, `checks.py`, a `write_*.py` per layout.

Adding a layout: a module `write_<layout>.py` with `write(truth, folder)`, and a row in `table.py`. `test_layouts.py`
and `tests/bench/captures.py` then run over it.
"""
