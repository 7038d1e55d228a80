"""Other people's formats: one module per format. `convert.py` and `info.py` are the commands; docs/exchange.md says
what is lost where. Needs numpy and SciPy, Pillow for `.sog`, torch only for the open body's mesh.
"""
