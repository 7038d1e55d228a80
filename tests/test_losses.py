"""Loss terms against numbers worked out by hand."""

from pathlib import Path

import pytest
import torch
from torchmetrics.functional.image import lpips, structural_similarity_index_measure

from nerfstudio_mobavatar import losses
from nerfstudio_mobavatar.losses import Box, PerceptualWeightsMissingError, make_perceptual

WHITE = torch.ones(3)


def test_composite_goes_through_the_matte():
    image = torch.tensor([255, 0, 102], dtype=torch.uint8).expand(1, 1, 3, 3)
    mask = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 1, 3, 1)
    got = losses.composite(image, mask, torch.tensor([0.0, 1.0, 0.5]))
    want = torch.tensor([[0, 1, 0.5], [0.2, 0.8, 0.48], [1, 0, 0.4]])  # mask 0, 0.2 and 1
    torch.testing.assert_close(got[0, 0], want)
    torch.testing.assert_close(
        losses.composite(image.float() / 255, mask.float() / 255, torch.tensor([0, 1, 0.5])), got
    )


def test_edge_band_is_px_wide_on_both_sides_and_not_at_the_border():
    mask = torch.zeros(1, 1, 10, 1)
    mask[:, :, 5:] = 1
    assert losses.edge_band_weight(mask, 0).flatten().tolist() == [1] * 10
    assert losses.edge_band_weight(mask, 2).flatten().tolist() == [1, 1, 1, 0, 0, 0, 0, 1, 1, 1]
    assert losses.edge_band_weight((mask * 255).byte(), 1).flatten().tolist() == [1, 1, 1, 1, 0, 0, 1, 1, 1, 1]


def test_photometric_l1_is_the_mean_over_the_pixels_that_count():
    target = torch.zeros(1, 1, 2, 3)
    rendered = torch.tensor([[0.3, 0.0, 0.6], [9.0, 9.0, 9.0]]).reshape(1, 1, 2, 3)
    weight = torch.tensor([1.0, 0.0]).reshape(1, 1, 2, 1)
    assert losses.photometric_l1(rendered, target, weight).item() == pytest.approx(0.3)
    assert losses.photometric_l1(rendered, target, weight * 0).item() == 0


def test_mask_l1_is_the_mean_difference_off_the_edge_band():
    mask = torch.zeros(1, 12, 12, 1)
    mask[:, :6] = 1
    alpha = mask.clone()
    alpha[0, 0], alpha[0, 11], alpha[0, 6] = 0.5, 0.25, 1.0  # a thin place, a leak, and the edge
    assert float(losses.mask_l1(alpha, mask, 1)) == pytest.approx((12 * 0.5 + 12 * 0.25) / (12 * 10))
    assert float(losses.mask_l1(alpha, (255 * mask).byte(), 0)) == pytest.approx((0.5 + 0.25 + 1) / 12)


def test_scale_penalty_counts_only_the_excess():
    scales = torch.tensor([[0.005, 0.010, 0.013], [0.021, 0.001, 0.001]])
    assert losses.scale_penalty(scales, 0.01).item() == pytest.approx((0.003 + 0.011) / 2, rel=1e-5)
    assert losses.scale_penalty(scales[:0], 0.01).item() == 0


def test_corrective_sparsity_weighs_each_attribute():
    r, s, c = torch.full((2, 4), -1.0), torch.full((2, 3), 2.0), torch.full((2, 3), 10.0)
    assert losses.corrective_sparsity(r, s, c).item() == pytest.approx(0.02 * 4 + 6 + 0.002 * 30)
    assert losses.corrective_sparsity(r, s, c, 1.0, 0.0, 0.0).item() == pytest.approx(4)


def test_node_smoothness_is_the_mean_distance_to_the_neighbours():
    dx = torch.tensor([[0.0, 0, 0], [1, -1, 0], [0, 0, 2]])
    neighbours = torch.tensor([[1, 2], [0, 2], [0, 1]])
    assert losses.node_smoothness(dx, neighbours).item() == pytest.approx((2 + 2 + 2 + 4 + 2 + 4) / 6)
    assert losses.node_smoothness(dx[:1].expand(3, 3), neighbours).item() == 0


def test_ssim_matches_torchmetrics_where_the_window_fits():
    g = torch.Generator().manual_seed(0)
    a = torch.rand(2, 23, 31, 3, generator=g, dtype=torch.float64)
    b = (a + 0.2 * torch.randn(a.shape, generator=g, dtype=torch.float64)).clamp(0, 1)
    nchw_a, nchw_b = (v.permute(0, 3, 1, 2) for v in (a, b))
    # torchmetrics also counts a rim of reflected pixels; the map without it is what ours means over
    _, full = structural_similarity_index_measure(nchw_a, nchw_b, data_range=1.0, return_full_image=True)
    torch.testing.assert_close(losses.ssim(a, b), full[..., 5:-5, 5:-5].mean(), atol=1e-9, rtol=0)
    assert losses.ssim(a, a).item() == pytest.approx(1)


def test_ssim_refuses_pictures_smaller_than_its_window():
    with pytest.raises(ValueError, match="at least 11 px"):
        losses.ssim(torch.zeros(1, 10, 20, 3), torch.zeros(1, 10, 20, 3))


def test_ssim_gradient_is_finite_on_flat_pictures():
    a = torch.ones(1, 12, 12, 3, requires_grad=True)
    losses.ssim(a, torch.ones(1, 12, 12, 3)).backward()
    assert a.grad is not None and a.grad.isfinite().all()


def test_person_box_has_the_margin_and_stays_in_the_frame():
    mask = torch.zeros(256, 128, 1)
    mask[100:140, 2:60] = 1
    assert losses.person_box(mask) == Box(94, 146, 0, 66)  # 50 px of 2048 are 6 of 256
    assert losses.person_box((mask * 255).byte()) == Box(94, 146, 0, 66)
    assert losses.person_box(mask * 0) == Box(0, 256, 0, 128)
    small = torch.zeros(40, 40, 1)
    small[39, 39] = 1  # margin 1, then widened to the SSIM window
    assert losses.person_box(small) == Box(29, 40, 29, 40)


def test_square_crop_pads_with_the_background_and_keeps_the_centre():
    background = torch.tensor([0.1, 0.2, 0.3])
    crop = losses.square_crop(torch.ones(20, 20, 3), Box(0, 8, 4, 8), background, 16)
    torch.testing.assert_close(crop[:, 8, 0], background)
    torch.testing.assert_close(crop[:, 8, 15], background)
    torch.testing.assert_close(crop[:, :, 8], torch.ones(3, 16))
    # an area of pictures is kept by the resize: 4 of 8 columns
    assert crop[0].mean().item() == pytest.approx((1 + 0.1) / 2, abs=1e-6)


def test_ssim_term_sees_the_person_only():
    mask = torch.zeros(2, 256, 256, 1)
    mask[0, 60:100, 60:100] = mask[1, 90:140, 50:90] = 1
    target = torch.rand(2, 256, 256, 3, generator=torch.Generator().manual_seed(1))
    far, near = target.clone(), target.clone()
    far[:, 200:] = 0
    near[:, 90:100] = 0
    term = make_perceptual("ssim")
    boxes = losses.person_boxes(mask)
    assert term(far, target, boxes, WHITE).item() == pytest.approx(0, abs=1e-5)
    assert term(near, target, boxes, WHITE).item() > 0.1
    assert make_perceptual("none")(near, target, boxes, WHITE).item() == 0


def test_missing_lpips_weights_are_named_and_replaced_only_as_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(PerceptualWeightsMissingError, match=r"(?s)vgg16-397923af\.pth.*Put https://.*'ssim' or 'none'"):
        make_perceptual("lpips-vgg", "error")
    assert isinstance(make_perceptual("lpips-vgg", "ssim"), losses.SsimPerceptual)
    assert "'ssim' stands in for 'lpips-vgg'" in capsys.readouterr().out.replace("\n", " ")
    assert isinstance(make_perceptual("lpips-vgg", "none"), losses.NoPerceptual)


def test_lpips_weights_are_downloaded_only_on_request(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    asked = []
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda url, **_: asked.append(url))
    for download in (False, True):
        with pytest.raises(PerceptualWeightsMissingError):
            make_perceptual("lpips-vgg", "error", download)
        assert asked == [losses.VGG_URL] * download


def test_lpips_matches_torchmetrics_with_the_same_weights(monkeypatch, tmp_path):
    """Random VGG weights stand in: the arithmetic is compared, forward and backward, not the pretrained values."""
    torch.manual_seed(0)
    with torch.device("meta"):  # or it spends seconds on VGG's classifier, which LPIPS drops
        twin = lpips._LPIPS(pretrained=False, pnet_rand=True, net="vgg")
    twin = twin.to_empty(device="cpu")
    twin.scaling_layer = lpips.ScalingLayer()
    linear = Path(lpips.__file__).parent / "lpips_models/vgg.pth"
    twin.load_state_dict(torch.load(linear, map_location="cpu", weights_only=True), strict=False)
    for parameter in twin.net.parameters():
        torch.nn.init.normal_(parameter, 0, (2 / max(parameter[0].numel(), 50)) ** 0.5)
    stored = {"features." + name.split(".", 1)[1]: value for name, value in twin.net.state_dict().items()}
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    losses.vgg_path().parent.mkdir()
    torch.save(stored, losses.vgg_path())
    term = make_perceptual("lpips-vgg", "error")
    a, b = torch.rand(2, 2, 3, 48, 32).requires_grad_(), torch.rand(2, 3, 48, 32)
    a, b = a[0], a[1].detach()
    assert isinstance(term, losses.LpipsPerceptual)
    got, want = term.distance(a, b), twin(a, b, normalize=True).flatten()
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)  # float32 sums of up to 25,000 products
    grads = [torch.autograd.grad(v.sum(), a)[0] for v in (got, want)]
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-6)
    monkeypatch.setattr(losses, "LPIPS_SIDE", 32)
    picture = torch.rand(1, 40, 30, 3)
    assert term(picture, picture, torch.tensor([[0, 40, 0, 30]]), WHITE).item() == pytest.approx(0, abs=1e-6)
