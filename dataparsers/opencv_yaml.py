"""OpenCV's FileStorage in YAML, as far as calibrations use it: numbers, text, lists and matrices.

Read with PyYAML's safe loader. OpenCV's own parser takes XML, JSON and gzip under any name and sets memory aside for
the rows and columns that a file claims.
"""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float
from numpy import ndarray

from nerfstudio_mobavatar.plain_data import NotPlainError, read_text

MOST_BYTES = 16 << 20
MATRIX = "tag:yaml.org,2002:opencv-matrix"


class _Loader(yaml.SafeLoader):
    """Safe, with OpenCV's matrices, and without merge keys, which can grow without bound."""

    def flatten_mapping(self, node: Any) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "merge key", node.start_mark)


def read_storage(path: Path) -> dict[str, Any]:
    """Entries by name; matrices as float64 [rows, columns]. Raises `NotPlainError`."""
    if path.stat().st_size > MOST_BYTES:
        raise NotPlainError(f"{path.stat().st_size >> 20} MB")
    first, _, rest = read_text(path).partition("\n")
    if not first.startswith("%YAML"):
        raise NotPlainError("that it does not parse (it does not start with %YAML)")
    try:
        # OpenCV writes '%YAML:1.0', which is no directive of YAML
        content = yaml.load(rest, Loader=_Loader)
    except (yaml.YAMLError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise NotPlainError(f"that it does not parse ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(content, dict):
        raise NotPlainError("that it does not parse (no entries)")
    return {str(key): value for key, value in content.items()}


def _matrix(loader: _Loader, node: yaml.Node) -> Float[ndarray, "rows columns"]:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.constructor.ConstructorError(None, None, "a matrix without rows", node.start_mark)
    fields = loader.construct_mapping(node, deep=True)
    rows, columns, data = (fields.get(key) for key in ("rows", "cols", "data"))
    if not isinstance(data, list) or type(rows) is not int or type(columns) is not int or rows * columns != len(data):
        raise yaml.constructor.ConstructorError(None, None, "a matrix of other rows and columns", node.start_mark)
    return np.array([float(number) for number in data]).reshape(rows, columns)


_Loader.add_constructor(MATRIX, _matrix)
