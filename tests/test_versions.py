"""What earlier versions wrote stays readable: checkpoints and configurations of every layout (tests/goldens/run_v*).

The golden avatar files are read in test_bundle.py.
"""

import gzip
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from nerfstudio.utils.eval_utils import eval_setup

from nerfstudio_mobavatar import checkpoints
from nerfstudio_mobavatar.pruning import PruningConfig
from nerfstudio_mobavatar.refine import RefineConfig
from nerfstudio_mobavatar.saved_config import RENAMED, SavedConfigError
from tests.goldens.make_checkpoint import FOLDER, SAVED, STEPS
from tests.tiny_capture import write_capture
from tests.training_runs import model_of, run

GOLDENS = sorted(FOLDER.glob("run_v*"), key=lambda path: int(path.name[5:]))


def test_there_is_a_golden_of_every_layout() -> None:
    assert [path.name for path in GOLDENS] == [f"run_v{n}" for n in range(1, checkpoints.LAYOUT + 1)]


@pytest.fixture(params=GOLDENS, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run as it was left, in the folder that its relative paths start from."""
    monkeypatch.chdir(tmp_path)
    write_capture(tmp_path / "capture", frames=5, cameras=3)
    made = tmp_path / "runs" / "golden" / "mobavatar-tiny" / "run"
    (made / "nerfstudio_models").mkdir(parents=True)
    shutil.copyfile(request.param / "config.yml", made / "config.yml")
    (packed,) = request.param.glob("*.gz")
    (made / "nerfstudio_models" / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return made


def test_nerfstudios_tools_open_it_and_training_goes_on_to_its_end(folder: Path) -> None:
    _, pipeline, _, step = eval_setup(folder / "config.yml", test_mode="test")
    model: Any = pipeline.model
    assert step == SAVED and model.avatar.is_pruned and len(model.avatar.index("color")) == 8
    stored = checkpoints.newest(folder / "nerfstudio_models").state["pipeline"]
    for name, value in model.avatar.named_parameters():
        assert torch.equal(value.detach().cpu(), stored[f"_model.avatar.{name}"]), name
    config = yaml.load((folder / "config.yml").read_text(), Loader=yaml.Loader)
    config.load_dir, config.timestamp = folder / "nerfstudio_models", "again"
    config.output_dir = folder.parents[2]  # not relative: nerfstudio's event writers outlive this test and its folder
    trainer = run(config)
    assert trainer.step == STEPS - 1 and model_of(trainer).avatar.is_pruned
    moments = trainer.optimizers.optimizers["color"].state[model_of(trainer).avatar.color]
    assert float(moments["step"]) == STEPS


PRUNING = """!!python/object:nerfstudio_mobavatar.pruning.PruningConfig
fold_mean: false
keep_bytes: null
keep_count: null
"""


def load(text: str) -> Any:
    return yaml.load(text, Loader=yaml.Loader)


def test_renamed_fields_have_todays_names_and_missing_ones_their_defaults() -> None:
    found = load(PRUNING + "keep_variance_share: 0.25\n")
    assert found == PruningConfig(keep_count=None, keep_share=0.25, fold_mean=False)
    assert not hasattr(found, "keep_variance_share") and not hasattr(found, "keep_bytes")
    assert load("!!python/object:nerfstudio_mobavatar.refine.RefineConfig\nshape: false\n") == RefineConfig(shape=False)


def test_a_field_with_a_default_of_its_own_object_is_there_when_the_file_lacks_it(folder: Path) -> None:
    text = (folder / "config.yml").read_text()
    without = re.sub(r"    refinement: .*?\n(?=    \w)", "", text, flags=re.DOTALL)
    assert without != text
    assert load(without).pipeline.model.refinement == RefineConfig()


def test_a_field_of_a_newer_version_says_so() -> None:
    with pytest.raises(SavedConfigError, match=r"PruningConfig has no field keep_best: .*by a newer version, update"):
        load(PRUNING + "keep_best: 3\n")
    with pytest.raises(SavedConfigError, match=r"PruningConfig.keep_bytes = 1000: this version has no such option"):
        load(PRUNING.replace("keep_bytes: null", "keep_bytes: 1000"))


def test_no_former_name_is_in_use_today() -> None:
    assert not {name for _, name in RENAMED} & {field for field in PruningConfig.__dataclass_fields__}
