"""A run's config.yml: what training writes comes back, and nothing that a file names is ever called."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from nerfstudio_mobavatar import configs, run_config
from nerfstudio_mobavatar.checkpoints import CheckpointError
from nerfstudio_mobavatar.dataparsers.dna_rendering import DNARenderingDataParserConfig
from nerfstudio_mobavatar.run_config import RunConfigError, open_run, read_config
from tests.training_runs import tiny_config

METHODS = [configs.mobavatar, configs.mobavatar_fast, configs.mobavatar_tiny]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a tiny run, as training writes it."""
    path = tmp_path / "config.yml"
    path.write_text(yaml.dump(tiny_config(tmp_path / "capture", tmp_path / "runs")))
    return path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.config.method_name)
def test_what_training_writes_comes_back(tmp_path: Path, method) -> None:
    path = tmp_path / "config.yml"
    path.write_text(yaml.dump(method.config))
    found = read_config(path)
    assert found == method.config and yaml.dump(found) == path.read_text()


def test_options_of_a_run_come_back(path: Path, tmp_path: Path) -> None:
    config = tiny_config(tmp_path, tmp_path)
    manager: Any = config.pipeline.datamanager
    manager.dataparser = DNARenderingDataParserConfig(sequence="0012_09", skip_cameras=("01",))
    path.write_text(yaml.dump(config))
    assert read_config(path) == config


@pytest.mark.parametrize(
    "call",
    [
        "!!python/object/apply:os.system ['touch BAIT']",
        "!!python/object/new:subprocess.Popen [[touch, BAIT]]",
        "!!python/object/apply:subprocess.check_output [[touch, BAIT]]",
        "!!python/object/apply:nerfstudio.utils.scripts.run_command ['touch BAIT']",
        "!!python/object/apply:pathlib.Path.write_text [BAIT]",
        "!!python/object/apply:nerfstudio.configs.base_config.subprocess.Popen [[touch, BAIT]]",
        "!!python/object:nerfstudio.engine.trainer.Trainer {config: BAIT}",
        "!!python/module:antigravity ''",
        "!!python/name:os.system ''",
        "[!!python/name:os.system '']",
        "!!python/object/apply:nerfstudio.utils.writer.EventName [x, y]",
        "!BAIT 3",
    ],
)
def test_nothing_is_executed(path: Path, tmp_path: Path, call: str) -> None:
    """The first of them creates a file when nerfstudio itself reads the configuration."""
    bait = tmp_path / "executed"
    edit(path, "load_dir: null", f"load_dir: {call.replace('BAIT', str(bait))}")
    with pytest.raises(RunConfigError, match=r"config.yml: refused to read .*in line \d+"):
        read_config(path)
    assert not bait.exists()


@pytest.mark.parametrize("reader", ["open_run", "the command"])
def test_the_commands_read_it_safely(path: Path, tmp_path: Path, reader: str) -> None:
    from nerfstudio_mobavatar.web_export.export import ExportMobavatar

    bait = tmp_path / "executed"
    edit(path, "load_dir: null", f"load_dir: !!python/object/apply:os.system ['touch {bait}']")
    with pytest.raises(RunConfigError, match=r"refused to read 'os.system'"):
        open_run(path) if reader == "open_run" else ExportMobavatar(path, tmp_path / "site").main()
    assert not bait.exists()


def test_a_target_is_the_fields_own(path: Path) -> None:
    edit(path, "!!python/name:nerfstudio_mobavatar.model.MobavatarModel ''", "!!python/name:subprocess.Popen ''")
    with pytest.raises(RunConfigError, match=r"'_target' of MobavatarModelConfig in line \d+: expected nerfstudio_mob"):
        read_config(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 42", "seed: many", "'seed' of MachineConfig in line .* expected a value such as 42, found 'many'"),
        ("seed: 42", "seed: true", "'seed' of MachineConfig"),
        ("seed: 42", "sead: 42", "'sead' of MachineConfig in line .* this version has no such field; update"),
        ("seed: 42", "seed: [unclosed", "expected YAML as training writes it"),
        ("seed: 42", "<<: {seed: 1}", "a merge key"),
        ("seed: 42", "seed: " + 2000 * "[", "expected YAML as training writes it"),
        ("seed: 42", "? [seed]\n  : 42", "expected YAML as training writes it"),
        ("seed: 42", "seed: *nobody", "undefined alias"),
        ("nerfstudio.configs.base_config.MachineConfig", "nerfstudio.configs.old.MachineConfig", "no such class"),
    ],
)
def test_damage_is_named(path: Path, old: str, new: str, message: str) -> None:
    edit(path, old, new)
    with pytest.raises(RunConfigError, match=rf"config.yml: .*{message}"):
        read_config(path)


def test_a_field_that_the_file_has_not_is_as_by_default(path: Path) -> None:
    edit(path, "check_capture: true\n", "")
    assert read_config(path).check_capture is True  # pyright: ignore[reportAttributeAccessIssue]


def test_a_renamed_field_still_loads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(path, "seed: 42", "dice: 7")
    monkeypatch.setitem(run_config.RENAMED, ("MachineConfig", "dice"), "seed")
    assert read_config(path).machine.seed == 7


def test_files_that_are_none(tmp_path: Path, path: Path) -> None:
    with pytest.raises(RunConfigError, match=r"nowhere.yml: no such file"):
        read_config(tmp_path / "nowhere.yml")
    with pytest.raises(CheckpointError, match=r"nerfstudio_models: no such folder"):
        open_run(path)
    path.write_bytes(path.read_bytes() + b"#" * run_config.MAX_BYTES)
    with pytest.raises(RunConfigError, match=r"expected at most 1048576 bytes"):
        read_config(path)


def test_a_checkpoint_that_would_run_code_is_refused(path: Path, tmp_path: Path) -> None:
    import torch

    from tests.test_safe_pickle import Malicious

    config, bait = read_config(path), tmp_path / "executed"
    config.get_checkpoint_dir().mkdir(parents=True)
    checkpoint = config.get_checkpoint_dir() / "step-000000007.ckpt"
    torch.save({"pipeline": Malicious(bait), "step": 7}, checkpoint)
    with pytest.raises(CheckpointError, match=r"step-000000007.ckpt is damaged \(UnpicklingError"):
        open_run(path)
    assert not bait.exists()
