"""Installed as `nerfstudio_mobavatar.web_export`."""

if not __name__.startswith("nerfstudio_mobavatar."):
    raise ImportError(
        "'web_export' was imported as a top-level package; import 'nerfstudio_mobavatar.web_export' instead."
    )
