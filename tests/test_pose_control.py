"""What the model draws for the viewer: which pose wins, and that evaluations never see one made by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras

from nerfstudio_mobavatar.model import MobavatarModel
from nerfstudio_mobavatar.motion.joint_names import INDEX
from nerfstudio_mobavatar.posing.edit import EditedPose, turned
from nerfstudio_mobavatar.viewer import colours, views

from .training_runs import PRUNE_STEP, STEPS, model_of, run, tiny_config


@pytest.fixture(scope="module")
def finished(mini_capture: Path, tmp_path_factory: pytest.TempPathFactory):
    return run(tiny_config(mini_capture, tmp_path_factory.mktemp("control")))


@pytest.fixture
def model(finished, monkeypatch: pytest.MonkeyPatch) -> MobavatarModel:
    """With a panel that looks at the plain picture, and nothing posed by hand."""
    model = model_of(finished).eval()
    panel = SimpleNamespace(output_render="rgb", split=False, split_output_render="parts", time=0.0)
    viewer = SimpleNamespace(control_panel=panel, current_camera_idx=0, include_time=True)
    monkeypatch.setattr(model.viewer_pose, "_viewer", viewer)
    model.viewer_pose.session.follow_frames()
    return model


@pytest.fixture
def camera(finished) -> Cameras:
    """As the viewer asks: without a row."""
    camera, _ = finished.pipeline.datamanager.fixed_indices_eval_dataloader.get(0)
    camera.metadata, camera.times = {"cam_idx": 0}, torch.tensor([[1.0]])
    return camera


def panel_of(model: MobavatarModel) -> Any:
    viewer: Any = model.viewer_pose._viewer
    return viewer.control_panel


def bend(model: MobavatarModel) -> None:
    vector = np.array([0.0, -1.5, 0.0])
    model.viewer_pose.session.edit(lambda e: turned(e, INDEX["left_elbow"], vector))


def test_by_hand_before_the_slider_before_the_time(model: MobavatarModel, camera: Cameras, monkeypatch):
    control, fit, last = model.viewer_pose, model.get_buffer("fit_pose"), len(model.get_buffer("fit_pose")) - 1
    assert torch.equal(control.pose_for(camera)[0], fit[last])
    monkeypatch.setattr(model.viewer_frame, "default_value", 2)
    assert torch.equal(control.pose_for(camera)[0], fit[2])
    by_slider = model.get_outputs_for_camera(camera)["rgb"]
    bend(model)  # starts from what is seen
    shown = control.pose_for(camera)[0]
    changed = (shown - fit[2]).abs().sum(1) > 1e-5
    assert changed.nonzero().flatten().tolist() == [INDEX["left_elbow"]]
    assert not torch.equal(model.get_outputs_for_camera(camera)["rgb"], by_slider)
    control.session.undo()
    assert torch.equal(model.get_outputs_for_camera(camera)["rgb"], by_slider)


def test_an_evaluation_never_sees_a_pose_made_by_hand(finished, model: MobavatarModel, monkeypatch):
    camera, _ = finished.pipeline.datamanager.fixed_indices_eval_dataloader.get(0)
    before = model.get_outputs_for_camera(camera)
    monkeypatch.setattr(model.viewer_frame, "default_value", 2)
    bend(model)
    after = model.get_outputs_for_camera(camera)
    assert set(after) == {"rgb", "accumulation", "depth"} and torch.equal(after["rgb"], before["rgb"])


def test_the_viewers_picture_is_the_evaluations(finished, model: MobavatarModel):
    """Two ways through the code, one picture: only the row is told differently."""
    camera, batch = finished.pipeline.datamanager.fixed_indices_eval_dataloader.get(0)
    expected = model.get_outputs_for_camera(camera)
    camera.metadata = {"cam_idx": 0}
    camera.times = torch.tensor([[batch["pose_row"] / (len(model.get_buffer("fit_pose")) - 1)]])
    found = model.get_outputs_for_camera(camera)
    for name, picture in expected.items():
        assert torch.equal(found[name], picture), name
    assert set(found) == set(expected) | set(views.NAMES)


def test_only_what_is_looked_at_is_drawn(model: MobavatarModel, camera: Cameras):
    panel = panel_of(model)
    bend(model)
    for name in views.NAMES:
        panel.output_render = name
        outputs = model.get_outputs_for_camera(camera)
        same = [other for other in views.NAMES if outputs[other] is outputs["rgb"]]
        # there is nothing from before pruning: it was pruned without a viewer
        expected = set(views.NAMES) - ({name} if name != views.BEFORE_PRUNING else set())
        assert set(same) == expected
        assert outputs[name].shape == outputs["rgb"].shape and torch.isfinite(outputs[name]).all()
    panel.output_render, panel.split, panel.split_output_render = "rgb", True, "parts"
    outputs = model.get_outputs_for_camera(camera)
    assert outputs["parts"] is not outputs["rgb"]


def test_the_captured_picture_stands_beside_the_rendered_one(finished, model: MobavatarModel, camera: Cameras):
    control = model.viewer_pose
    panel = panel_of(model)
    panel.output_render, control.camera = views.CAPTURED, control.capture_cameras()[1]
    bend(model)  # the comparison shows the frame all the same
    outputs = model.get_outputs_for_camera(camera)
    picture = outputs[views.CAPTURED]
    assert picture.shape == outputs["rgb"].shape
    loader = finished.pipeline.datamanager.fixed_indices_eval_dataloader
    dataset = finished.pipeline.datamanager.train_dataset
    assert len(loader) and picture.std() > 0.02
    view = dataset.metadata["views"][1]
    captured = next(i for i, im in enumerate(dataset.metadata["images"]) if im.camera == 1 and im.frame == 0)
    data = dataset.get_data(captured)
    target = data["image"] * data["mask"] + 1 - data["mask"]
    pair = views.beside(target, torch.ones_like(target), *outputs["rgb"].shape[:2])
    left = slice(0, picture.shape[1] // 2)
    assert (pair[:, left] - picture[:, left]).abs().max() < 1e-5
    assert view.width and not torch.equal(pair, picture)
    control.camera = None


def test_the_avatar_before_pruning_is_kept_where_somebody_looks(model: MobavatarModel, camera: Cameras):
    control = model.viewer_pose
    model.train()
    control.before_pruning()
    model.eval()
    assert control.views._before is not None and not control.views._before.training
    panel = panel_of(model)
    panel.output_render = views.BEFORE_PRUNING
    before = model.get_outputs_for_camera(camera)
    assert torch.equal(before[views.BEFORE_PRUNING], before["rgb"])
    model.avatar.color.data.add_(0.2)
    after = model.get_outputs_for_camera(camera)
    model.avatar.color.data.sub_(0.2)
    torch.testing.assert_close(after[views.BEFORE_PRUNING], before["rgb"])
    assert (after["rgb"] - before["rgb"]).abs().max() > 0.05
    control.views._before = None


def test_colours_say_what_they_mean(model: MobavatarModel):
    avatar = model.avatar
    part = avatar.get_buffer("part")
    hues = colours.parts(avatar)
    assert len(torch.unique(hues, dim=0)) == len(torch.unique(part))
    kept = colours.kept(avatar)
    for channel, name in enumerate(("rotation", "scale", "color")):
        assert torch.equal((kept[:, channel] == 1).nonzero().flatten(), avatar.index(name))
    none = colours.corrective_size(avatar, {})
    assert torch.equal(none, colours.ramp(torch.zeros(len(none))))
    inside = colours.pose_distance(avatar, {})
    assert torch.equal(inside, none)
    far = colours.pose_distance(avatar, {"left arm": 9.0})
    strongest = avatar.get_buffer("skin_index").gather(1, avatar.get_buffer("skin_weight").argmax(1, keepdim=True))[
        :, 0
    ]
    lit = (far != inside).any(1)
    assert lit.any() and not lit.all()
    assert lit[strongest == INDEX["left_elbow"]].all() and not lit[strongest == INDEX["right_elbow"]].any()
    assert lit[(strongest >= 25) & (strongest < 40)].all()  # the fingers go with their arm


def test_another_shape_is_to_look_at_only(model: MobavatarModel, camera: Cameras):
    control = model.viewer_pose
    before, rest = model.get_outputs_for_camera(camera)["rgb"], control.skeleton().rest
    kept = {name: value.clone() for name, value in model.avatar.state_dict().items()}
    control.shape.set(np.array([2.5, *[0.0] * (len(control.shape.values) - 1)]))
    assert (model.get_outputs_for_camera(camera)["rgb"] - before).abs().max() > 0.02
    changed = control.skeleton()
    assert np.abs(changed.rest - rest).max() > 0.002
    # bones follow: a wrist that is posed is where the avatar's joint is
    shaped = control.shape.avatar()
    G = shaped.joint_transforms(torch.zeros(55, 3), torch.zeros(3))
    bind = shaped.get_buffer("inverse_bind")
    at = torch.einsum("jab,jb->ja", G[:, :, :3], torch.linalg.inv(bind)[:, :3, 3]) + G[:, :, 3]
    np.testing.assert_allclose(at.numpy(), changed.rest, atol=1e-5)
    assert all(torch.equal(value, kept[name]) for name, value in model.avatar.state_dict().items())
    control.shape.set(np.zeros(len(control.shape.values)))
    assert control.shape.avatar() is model.avatar
    assert torch.equal(model.get_outputs_for_camera(camera)["rgb"], before)


def test_losses_are_there_for_the_panel(model: MobavatarModel):
    losses = model.viewer_pose.losses
    assert "l1" in losses and not any(value.requires_grad for value in losses.values())
    assert views.stage_of(model).startswith("stage 2") and STEPS > PRUNE_STEP


def test_a_pose_by_hand_has_the_avatars_expression(model: MobavatarModel, camera: Cameras):
    def smile(edited: EditedPose) -> EditedPose:
        return EditedPose(edited.pose, edited.transl, edited.expression + 1)

    model.viewer_pose.session.edit(smile)
    assert model.viewer_pose.pose_for(camera)[2].dtype == torch.float32
    assert torch.isfinite(model.get_outputs_for_camera(camera)["rgb"]).all()
