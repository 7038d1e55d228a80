"""Every layout with its writer: one row each, for `test_layouts.py` and `tests/bench/captures.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from nerfstudio_mobavatar.capture import Capture
from nerfstudio_mobavatar.dataparsers.actorshq import ActorsHQDataParserConfig
from nerfstudio_mobavatar.dataparsers.avatarrex import AvatarReXDataParserConfig
from nerfstudio_mobavatar.dataparsers.base import CaptureDataParserConfig
from nerfstudio_mobavatar.dataparsers.dna_rendering import DNARenderingDataParserConfig
from nerfstudio_mobavatar.dataparsers.dreams import DreamsDataParserConfig
from nerfstudio_mobavatar.dataparsers.generic import GenericDataParserConfig
from nerfstudio_mobavatar.dataparsers.mvhumannet import MVHumanNetDataParserConfig
from nerfstudio_mobavatar.dataparsers.neuman import NeuManDataParserConfig
from nerfstudio_mobavatar.dataparsers.people_snapshot import PeopleSnapshotDataParserConfig
from nerfstudio_mobavatar.dataparsers.thuman4 import THuman4DataParserConfig
from nerfstudio_mobavatar.dataparsers.zju_mocap import ZJUMoCapDataParserConfig
from tests.layouts import (
    smpl_model,
    write_actorshq,
    write_avatarrex,
    write_dna_rendering,
    write_dreams,
    write_generic,
    write_mvhumannet,
    write_neuman,
    write_people_snapshot,
    write_thuman4,
    write_zju_mocap,
)
from tests.layouts.truth import Truth, make_truth

LENS = (0.08, -0.03, 0.002, -0.003, 0.01)
"""k1, k2, p1, p2, k3 of layouts that keep their distortion: pixels move by up to 3."""


@dataclass(frozen=True)
class Row:
    """One layout, or one variant of it."""

    name: str
    """Key of the figures, unique."""
    layout: str
    """What `detect_layout` says about the folder."""
    write: Callable[[Truth, Path], None]
    config: type[CaptureDataParserConfig]
    truth: Callable[[], Truth] = make_truth
    """What is written, and has to come back."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that the parser needs."""
    notes: tuple[str, ...] = ()
    """Regular expressions, each of which one of the parser's notes has to match."""
    same_world: bool = True
    """False where the layout's world is another one, so that only cameras relative to bodies can be compared."""
    cross_layout: bool = True
    """False where the truth's body is not what the layout can hold, so that poses come back approximately."""
    camera_names: bool = True
    """False where the layout names cameras itself."""

    def parse(self, folder: Path, **options: Any) -> Capture:
        """Read the folder with the row's options, changed by the given ones."""
        return self.config(data=folder, **{**self.options, **options}).setup().capture


@lru_cache
def lens_truth() -> Truth:
    """The truth recorded through `LENS`."""
    return make_truth().distorted(LENS)


@lru_cache
def named(names: Callable[[Truth], Truth], lens: bool = False) -> Truth:
    """The truth with a layout's own names of cameras."""
    return names(lens_truth() if lens else make_truth())


@lru_cache
def smpl_truth(names: Callable[[Truth], Truth] | None = None, lens: bool = False) -> Truth:
    """The truth without what SMPL cannot say, with a layout's own names of cameras."""
    truth = make_truth(smpl=True)
    truth = truth.distorted(LENS) if lens else truth
    return truth if names is None else names(truth)


SMPL = {"smpl_model": smpl_model.FILE}
CARRIED_OVER = ("SMPL fit carried over .* shape of 'open' was fitted to that of SMPL_LIKE.npz",)

ROWS = (
    Row("avatarrex", "avatarrex", write_avatarrex.write, AvatarReXDataParserConfig,
        truth=lens_truth),
    Row("thuman4", "thuman4", write_thuman4.write, THuman4DataParserConfig,
        truth=partial(named, write_thuman4.camera_names, True), notes=("lists 1 images that are not used",)),
    Row("actorshq", "actorshq", write_actorshq.write, ActorsHQDataParserConfig,
        truth=partial(named, write_actorshq.camera_names), notes=("1 of the 5 cameras .* no pictures",)),
    Row("actorshq_scales", "actorshq", write_actorshq.write_scales, ActorsHQDataParserConfig,
        truth=partial(named, write_actorshq.camera_names), notes=("1x, 4x are there, 1x is read",)),
    Row("dna_rendering", "dna-rendering", write_dna_rendering.write, DNARenderingDataParserConfig,
        truth=partial(named, write_dna_rendering.camera_names, True),
        notes=("hands relative to its mean pose", "1 of the 5 calibrated cameras have no pictures")),
    Row("dna_rendering_scaled", "dna-rendering", write_dna_rendering.write_scaled, DNARenderingDataParserConfig,
        truth=partial(named, write_dna_rendering.camera_names, True), notes=("divided by the body's scale 1.0700",)),
    Row("dreams", "dreams", write_dreams.write, DreamsDataParserConfig,
        truth=partial(named, write_dreams.camera_names), notes=("neutral SMPL-X model, with hands relative",)),
    Row("zju_mocap", "zju-mocap", write_zju_mocap.write, ZJUMoCapDataParserConfig,
        truth=partial(smpl_truth, write_zju_mocap.camera_names, True), options=SMPL, notes=CARRIED_OVER,
        cross_layout=False),
    Row("zju_mocap_313", "zju-mocap", write_zju_mocap.write_313, ZJUMoCapDataParserConfig,
        truth=partial(smpl_truth, write_zju_mocap.camera_names_313), options=SMPL, cross_layout=False),
    Row("people_snapshot", "people-snapshot", write_people_snapshot.write, PeopleSnapshotDataParserConfig,
        truth=partial(smpl_truth, write_people_snapshot.one_camera), options=SMPL, cross_layout=False,
        notes=("poses from poses.npz", *CARRIED_OVER)),
    Row("people_snapshot_custom", "people-snapshot", write_people_snapshot.write_custom, PeopleSnapshotDataParserConfig,
        truth=partial(smpl_truth, write_people_snapshot.one_camera), options=SMPL, cross_layout=False,
        notes=("poses from poses_optimized.npz", *CARRIED_OVER)),
    Row("neuman", "neuman", write_neuman.write, NeuManDataParserConfig,
        truth=partial(smpl_truth, write_neuman.in_the_camera), options=SMPL, cross_layout=False,
        notes=("poses from smpl_output_optimized.pkl", "The camera moves", "1 of the 7 images", *CARRIED_OVER)),
    Row("neuman_hugs", "neuman", write_neuman.write_hugs, NeuManDataParserConfig,
        truth=partial(smpl_truth, write_neuman.in_the_camera), options=SMPL, cross_layout=False,
        notes=("poses and masks of HUGS", *CARRIED_OVER)),
    Row("mvhumannet", "mvhumannet", write_mvhumannet.write, MVHumanNetDataParserConfig,
        truth=write_mvhumannet.pca_truth, notes=("1 of the 5 calibrated cameras have no pictures",)),
    Row("generic_json", "generic", write_generic.write_json, GenericDataParserConfig, truth=lens_truth),
    Row("generic_opencv", "generic", write_generic.write_opencv, GenericDataParserConfig, truth=lens_truth),
    Row("generic_transforms", "generic", write_generic.write_transforms, GenericDataParserConfig, truth=lens_truth),
    Row("generic_colmap", "generic", write_generic.write_colmap, GenericDataParserConfig,
        truth=smpl_truth, options=SMPL, notes=CARRIED_OVER, cross_layout=False),
)  # fmt: skip
