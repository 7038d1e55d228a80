"""Configurations of earlier versions: what has been renamed since, and what has a default that the file lacks.

nerfstudio writes the whole configuration of a run into its config.yml, object by object, and its tools read it back the
same way. Classes here take their fields by today's names.
"""

from dataclasses import MISSING, fields
from typing import Any

RENAMED: dict[tuple[str, str], str | None] = {
    ("PruningConfig", "keep_variance_share"): "keep_share",
    ("PruningConfig", "keep_bytes"): None,  # bytes of the correctives alone; `file_bytes` are those of the whole file
}
"""(class, former name of a field) -> its name today; None: gone, passed over where it was not set."""


class SavedConfigError(ValueError):
    """A field that this version does not know. The message says what to do."""


class SavedConfig:
    """Base of configuration classes whose saved objects may be of an earlier version."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Fields as they were saved. Raises `SavedConfigError` for one that this version does not have."""
        self.__dict__.update(fields_today(type(self), state))


def fields_today(kind: type, state: dict[str, Any]) -> dict[str, Any]:
    """Values by today's names, with defaults for what is missing. Errors: as of `SavedConfig.__setstate__`."""
    known = {f.name: f for f in fields(kind)}
    found: dict[str, Any] = {}
    for name, value in state.items():
        today = RENAMED.get((kind.__name__, name), name)
        if today is None:
            if value is not None:
                raise SavedConfigError(f"{kind.__name__}.{name} = {value!r}: this version has no such option any more")
            continue
        if today not in known:
            raise SavedConfigError(
                f"{kind.__name__} has no field {name}: the run was made by a newer version, update nerfstudio-mobavatar"
            )
        found[today] = value
    for name, f in known.items():
        if name not in found and f.default_factory is not MISSING:
            found[name] = f.default_factory()
    return found
