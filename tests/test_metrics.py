"""Picture metrics against numbers worked out by hand."""

import math

import pytest
import torch

from nerfstudio_mobavatar import losses, metrics


@pytest.fixture
def person():
    """256 x 256 grey picture, the person a 40 x 60 block, everything else of the photograph black."""
    image, mask = torch.zeros(256, 256, 3, dtype=torch.uint8), torch.zeros(256, 256, 1, dtype=torch.uint8)
    image[100:140, 90:150], mask[100:140, 90:150] = 102, 255
    return image, mask


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    cached = metrics.available_lpips
    cached.cache_clear()
    yield
    cached.cache_clear()


def test_psnr_of_a_constant_error():
    assert metrics.psnr(torch.full((4, 5, 3), 0.6), torch.full((4, 5, 3), 0.5)) == pytest.approx(20, abs=1e-5)
    assert metrics.psnr(torch.zeros(3), torch.zeros(3)) == 100


def test_a_perfect_rendering_over_white(person):
    image, mask = person
    rendered = torch.where(mask > 0, 0.4, 1.0).expand(256, 256, 3)
    values = metrics.image_metrics(rendered, image, mask)
    assert values["psnr"] == values["psnr_crop"] == 100
    assert values["ssim"] == pytest.approx(1) and values["ssim_crop"] == pytest.approx(1)


def test_full_frame_and_crop_differ_by_the_share_of_white(person):
    """Error 0.1 on the person: mse = 0.01 x its share; the crop has 6 px of margin (50 of 2048)."""
    image, mask = person
    rendered = torch.where(mask > 0, 0.5, 1.0).expand(256, 256, 3)
    values = metrics.image_metrics(rendered, image, mask)
    assert values["psnr"] == pytest.approx(20 - 10 * math.log10(40 * 60 / 256**2), abs=1e-4)
    assert values["psnr_crop"] == pytest.approx(20 - 10 * math.log10(40 * 60 / (52 * 72)), abs=1e-4)
    assert values["ssim_crop"] < values["ssim"] < 1


def test_renderings_are_clamped_and_float_pictures_accepted(person):
    image, mask = person
    rendered = torch.where(mask > 0, 0.4, 1.7).expand(256, 256, 3)
    values = metrics.image_metrics(rendered, image.float() / 255, mask.float() / 255)
    assert values["psnr"] == 100


def test_a_hole_a_leak_and_a_floater_are_told_apart():
    """1024 px: 2 px on either side of the edge count for nothing, further out than 10 px is floating."""
    mask = torch.zeros(1024, 1024, 1, dtype=torch.uint8)
    mask[100:200, 300:400] = 255
    alpha = (mask > 0).float()
    assert metrics.coverage_metrics(alpha, mask) == {"coverage": 1, "holes": 0, "leak": 0, "floaters": 0}
    alpha[98:102, 300:400] = 0.5  # at the edge
    assert metrics.coverage_metrics(alpha, mask) == {"coverage": 1, "holes": 0, "leak": 0, "floaters": 0}
    core = 96 * 96
    alpha[150:160, 350:354] = 0.25  # a hole of 40 px
    alpha[205:207, 300:400] = 0.5  # leaks of 200 px, 5 px out
    alpha[215:218, 300:400] = 0.5  # half as much again 15 px out
    found = metrics.coverage_metrics(alpha, mask.float() / 255)
    assert found["holes"] == pytest.approx(40 / core) and found["coverage"] == pytest.approx(1 - 30 / core)
    assert found["leak"] == pytest.approx(250 / 100**2) and found["floaters"] == pytest.approx(150 / 100**2)


def test_an_empty_mask_is_covered_and_everything_floats():
    mask = torch.zeros(64, 64, 1, dtype=torch.uint8)
    found = metrics.coverage_metrics(torch.full((64, 64, 1), 0.5), mask)
    assert found == {"coverage": 1, "holes": 0, "leak": 2048, "floaters": 2048}


def test_opacity_adds_to_the_metrics_of_a_picture(person):
    image, mask = person
    values = metrics.image_metrics(torch.ones(256, 256, 3), image, mask, (mask > 0).float())
    assert values["coverage"] == 1 and values["floaters"] == 0
    assert "coverage" not in metrics.image_metrics(torch.ones(256, 256, 3), image, mask)


def test_lpips_is_absent_without_weights_and_that_is_said_once(person, capsys):
    image, mask = person
    for _ in range(2):
        assert set(metrics.image_metrics(torch.ones(256, 256, 3), image, mask)) == {
            "psnr", "ssim", "psnr_crop", "ssim_crop",
        }  # fmt: skip
    assert capsys.readouterr().out.count("Metrics without LPIPS") == 1


def test_lpips_sees_the_white_padded_crop(person, monkeypatch):
    image, mask = person
    seen = []

    class Fake:
        def distance(self, a, b):
            seen.extend([a, b])
            return torch.tensor([0.25])

    monkeypatch.setattr(metrics, "available_lpips", lambda: Fake())
    assert metrics.image_metrics(torch.ones(256, 256, 3), image, mask)["lpips"] == 0.25
    rendered, target = seen
    assert rendered.shape == target.shape == (1, 3, losses.LPIPS_SIDE, losses.LPIPS_SIDE)
    torch.testing.assert_close(rendered, torch.ones_like(rendered))
    assert target[0, 0, 256, 256].item() == pytest.approx(0.4) and target[0, 0, 0, 256].item() == pytest.approx(1)
