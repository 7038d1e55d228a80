"""Fuzzing of every reader of foreign files: `python -m tests.fuzz --help`.

`targets.py`: the readers and sound files for them. `mutate*.py`: how files are damaged. `guard.py`: what a reader may
do. `runner.py`: many executions in processes of their own. `guided.py`: guided by coverage (atheris).
"""
