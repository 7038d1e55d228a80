"""Posing by hand: limits of joints, limbs that follow a dragged hand or foot, mirroring, fingers, undo.

The viewer and the exported page share these definitions: `web_export/viewer/src/posing` holds the same functions in
TypeScript, `tests/goldens/posing.json` holds both to the same numbers. A pose is `[55, 3]`, the axis-angle of every
joint relative to its parent in radians, joint 0 relative to the world, and `transl` in metres. numpy and SciPy.
"""
