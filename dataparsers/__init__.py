"""Installed as `nerfstudio_mobavatar.dataparsers`."""

if not __name__.startswith("nerfstudio_mobavatar."):
    raise ImportError(
        "'dataparsers' was imported as a top-level package; import 'nerfstudio_mobavatar.dataparsers' instead."
    )
