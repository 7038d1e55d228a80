"""What makes a training step fast computes what the plain code does: every fast path against its slow twin."""

import jaxtyping
import pytest
import torch

from nerfstudio_mobavatar import device, losses, render
from nerfstudio_mobavatar.avatar import Avatar
from nerfstudio_mobavatar.cuda_graph import ValueAndGradient
from nerfstudio_mobavatar.losses import Box
from nerfstudio_mobavatar.optim import DecaySchedulerConfig, FusedAdamConfig, SafeOptimizers
from nerfstudio_mobavatar.transforms import product
from tests.rig import random_pose, tiny_avatar


@pytest.fixture
def traceable():
    """torch's tracer does not see through the shape checks that tests run with."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _decoded(avatar: Avatar, run) -> list[torch.Tensor]:
    """Outputs of a decode and the gradient of every parameter under fixed upstream gradients."""
    avatar.zero_grad(set_to_none=True)
    out = run()
    g = out.gaussians
    values = [g.means, 1e4 * g.covariances, g.colors, g.opacities, out.scales, *out.correctives.values()]
    torch.stack([(v * torch.linspace(-1, 2, v.numel()).view(v.shape)).sum() for v in values]).sum().backward()
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in avatar.parameters()]
    return [v.detach() for v in values] + grads


@pytest.mark.parametrize("pruned", [False, True])
def test_the_decode_traced_for_compilation_equals_forward(pruned, traceable):
    """One graph without breaks, forward and backward; the compiler's own kernels are compared on CUDA by
    `python -m tests.bench.train_speed`."""
    avatar = tiny_avatar().train()
    if pruned:
        for name in ("rotation", "scale", "color"):
            kept = torch.arange(0, len(avatar.index(name)), 3)
            setattr(avatar, f"{name}_basis", torch.nn.Parameter(avatar.basis(name).detach()[kept]))
            setattr(avatar, f"{name}_index", kept)
        avatar.mark_pruned()
    poses = [random_pose(k) for k in (1, 2)]
    inputs, G = (torch.stack(v) for v in zip(*[_frame(avatar, *p) for p in poses]))
    traced = torch.compile(avatar._decode, backend="aot_eager", fullgraph=True, dynamic=False)
    for row, pose in enumerate(poses):
        want = _decoded(avatar, lambda pose=pose: avatar(*pose))
        avatar._compiled = traced
        got = _decoded(avatar, lambda row=row: avatar.decode(inputs[row], G[row]))
        avatar._compiled = avatar._decode
        for a, b in zip(got, want):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)  # another order of float32 sums


def _frame(avatar: Avatar, pose, transl, expression):
    from nerfstudio_mobavatar.features import pose_inputs

    return pose_inputs(pose, expression), avatar.joint_transforms(pose, transl)


def test_kinematics_of_all_frames_at_once_equals_one_by_one():
    avatar = tiny_avatar()
    pose, transl, expression = (torch.stack(v) for v in zip(*[random_pose(k) for k in range(5)]))
    inputs, G = _frame(avatar, pose, transl, expression)
    for k in range(5):
        one = _frame(avatar, pose[k], transl[k], expression[k])
        torch.testing.assert_close((inputs[k], G[k]), one, rtol=1e-6, atol=1e-6)  # float32, batched sums


def test_small_products_equal_matmul():
    a, b = torch.randn(2, 7, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(product(a, b), a @ b)


def test_crops_by_products_equal_the_resize_one_by_one():
    """Boxes inside, at the border, flat, upright, smaller than the crop; forward and backward."""
    pixels = torch.rand(5, 60, 44, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pixels.requires_grad_()
    boxes = torch.tensor([[0, 60, 0, 44], [3, 58, 7, 20], [20, 31, 0, 44], [10, 20, 30, 41], [7, 52, 1, 44]])
    background = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    got, again = losses.square_crops([pixels, pixels], boxes, background, 16)
    assert torch.equal(got, again)
    one_by_one = [losses.square_crop(p, Box(*b), background, 16) for p, b in zip(pixels, boxes.tolist())]
    want = torch.stack(one_by_one)
    torch.testing.assert_close(got, want, rtol=0, atol=2e-6)  # the weights of both are float32
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grads = [torch.autograd.grad((v * upstream).sum(), pixels)[0] for v in (got, want)]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-5)


def test_compiled_crop_weights_equal_plain_ones(traceable):
    boxes = torch.tensor([[0, 60, 0, 44], [3, 58, 7, 20]])
    pixels, background = torch.rand(2, 60, 44, 3), torch.zeros(3)
    traced = torch.compile(losses._crop_weights, backend="aot_eager", fullgraph=True, dynamic=True)
    for height in (60, 58):  # crops differ in size
        (want,) = losses.square_crops([pixels[:, :height]], boxes, background, 16)
        (got,) = losses.square_crops([pixels[:, :height]], boxes, background, 16, traced)
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)  # another order of float32 operations


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_value_and_gradient_in_one_go_equal_autograd(device):
    """Two sets of shapes in turn, so that recordings on CUDA share their memory and are replayed out of order."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device for graphs")

    def function(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ((x - y).square() * torch.sin(x)).mean()

    joint = ValueAndGradient(function)
    for step, count in enumerate([3, 2, 3, 2, 3]):
        generator = torch.Generator().manual_seed(step)
        x, y = (torch.randn(count, 5, generator=generator).to(device) for _ in range(2))
        x.requires_grad_()
        results = []
        for f in (joint, function):
            value = f(2 * x, y)
            results.append((value.detach(), *torch.autograd.grad(0.3 * value, x)))
        torch.testing.assert_close(*results)


def test_gsplat_step_by_step_draws_what_its_own_call_draws():
    """Picture, alpha and all gradients; the call with depth is gsplat's own."""
    if not torch.cuda.is_available() or render._installed("gsplat") is None:
        pytest.skip("gsplat needs a CUDA device")
    avatar = tiny_avatar().to("cuda").train()
    pose, transl, expression = (v.to("cuda") for v in random_pose(1))
    T, K = torch.eye(4).repeat(3, 1, 1), torch.tensor([[150.0, 0, 50], [0, 150, 60], [0, 0, 1]]).repeat(3, 1, 1)
    T[:, 2, 3], T[:, 0, 3], K[1] = 3.0, torch.linspace(-0.2, 0.2, 3), K[1] * torch.tensor([[1.1], [0.9], [1.0]])
    background = torch.tensor([0.2, 0.5, 0.9], device="cuda")
    results = []
    for with_depth in (True, False):
        avatar.zero_grad(set_to_none=True)
        gaussians = avatar(pose, transl, expression).gaussians
        drawn = render.rasterize(gaussians, T.to("cuda"), K.to("cuda"), 100, 120, background, "gsplat", with_depth)
        pixels = torch.cat([drawn.rgb, drawn.alpha], -1)
        assert drawn.alpha.max() > 0.5
        (pixels * torch.linspace(-1, 2, pixels.numel(), device="cuda").view(pixels.shape)).sum().backward()
        results.append((pixels.detach(), [p.grad for p in avatar.parameters() if p.grad is not None]))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)  # sums by atomics


@pytest.mark.parametrize("sparse", [True, False])
def test_regularisers_are_the_single_terms(sparse, traceable):
    generator = torch.Generator().manual_seed(0)
    scales, dx = torch.rand(30, 3, generator=generator) / 50, torch.randn(9, 3, generator=generator)
    neighbours = torch.randint(0, 9, (9, 7), generator=generator)
    rotation, scale, color = (torch.randn(30, width, generator=generator) for width in (4, 3, 3))
    correctives = (rotation, scale, color) if sparse else None
    traced = torch.compile(losses.regularisers, backend="aot_eager", fullgraph=True, dynamic=False)
    leaves = [v.requires_grad_() for v in (scales, dx, *(correctives or ()))]
    want = [losses.scale_penalty(scales, 0.01), losses.node_smoothness(dx, neighbours)]
    if sparse:
        want.append(losses.corrective_sparsity(rotation, scale, color, 0.1, 0.2, 0.3))
    for function in (losses.regularisers, traced):
        got = function(scales, 0.01, dx, neighbours, correctives, (0.1, 0.2, 0.3))
        torch.testing.assert_close(got, want)
        gradients = [torch.autograd.grad(torch.stack(v).sum(), leaves, retain_graph=True) for v in (got, want)]
        torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("px", [0, 2])
def test_photometric_gives_the_l1_the_error_and_the_target_of_the_single_functions(px, traceable):
    generator = torch.Generator().manual_seed(0)
    rendered = torch.rand(2, 20, 12, 3, generator=generator).requires_grad_()
    image = torch.randint(0, 256, (2, 20, 12, 3), generator=generator, dtype=torch.uint8)
    mask = torch.zeros(2, 20, 12, 1, dtype=torch.uint8)
    mask[:, 5:15, 3:9] = 255
    background = torch.tensor([0.2, 0.4, 1.0])
    target = losses.composite(image, mask, background)
    want = losses.photometric_l1(rendered, target, losses.edge_band_weight(mask, px))
    gradient = torch.autograd.grad(want, rendered)[0]
    traced = torch.compile(losses.photometric, backend="aot_eager", fullgraph=True, dynamic=True)
    for function in (losses.photometric, traced):
        l1, error, seen = function(rendered, image, mask, background, px)
        torch.testing.assert_close((l1, seen), (want, target))
        torch.testing.assert_close(error, (rendered.detach() - target).square().sum())
        torch.testing.assert_close(torch.autograd.grad(l1, rendered)[0], gradient)
        assert not error.requires_grad


def test_compiling_is_for_cuda_with_its_tools_unless_told(monkeypatch):
    monkeypatch.setattr(device, "find_spec", lambda name: object())
    monkeypatch.setattr(device.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "gcc" else None)
    assert device.resolve_compile("auto", "cuda:0") and not device.resolve_compile("auto", "cpu")
    assert device.resolve_compile("on", "cpu") and not device.resolve_compile("off", "cuda")
    assert "compiled by torch on cuda" in device.describe_compile("auto", "cuda")
    monkeypatch.setattr(device.shutil, "which", lambda name: None)
    assert not device.resolve_compile("auto", "cuda")
    assert "needs Triton and a C compiler" in device.describe_compile("auto", "cuda")
    assert device.describe_compile("auto", "cpu") == "kernels: torch's own on cpu"


@pytest.mark.parametrize("length", [11, 12, 19, 40])
def test_window_means_in_blocks_equal_one_product(length):
    planes = torch.rand(2, 3, length, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(losses._window_means(planes, 8), losses._window_means(planes))


def test_learning_rates_are_logged_with_the_losses_and_decay_in_every_step(monkeypatch):
    config = {
        "color": {
            "optimizer": FusedAdamConfig(lr=1.0),
            "scheduler": DecaySchedulerConfig(final_factor=0.1, max_steps=10),
        }
    }
    optimizers = SafeOptimizers(config, {"color": [torch.nn.Parameter(torch.ones(3))]})
    optimizers.steps_per_log = 5
    logged: dict[int, float] = {}
    monkeypatch.setattr(
        "nerfstudio.engine.optimizers.writer.put_scalar", lambda name, scalar, step: logged.update({step: scalar})
    )
    for step in range(10):
        optimizers.scheduler_step_all(step)
    assert logged == {0: pytest.approx(0.1**0.1), 5: pytest.approx(0.1**0.6)}
    assert optimizers.optimizers["color"].param_groups[0]["lr"] == pytest.approx(0.1)


def _trained(device: str, together: bool, monkeypatch) -> tuple[SafeOptimizers, list[torch.Tensor]]:
    """Six steps of four groups: one of two parameters, one with a limit of its norm, one without gradient in two of the
    steps; the fourth step has a gradient that is not finite."""
    options = {"a": {}, "limited": {"max_norm": 0.1}, "decayed": {}, "late": {"eps": 1e-2}}
    config = {
        name: {"optimizer": FusedAdamConfig(lr=0.1 * (k + 1), **more), "scheduler": DecaySchedulerConfig(max_steps=10)}
        for k, (name, more) in enumerate(options.items())
    }
    generator = torch.Generator().manual_seed(0)
    parameters = {
        name: [torch.nn.Parameter(torch.randn(5, n, generator=generator).to(device)) for n in range(1, 3 - k % 2)]
        for k, name in enumerate(options)
    }
    optimizers = SafeOptimizers(config, parameters)
    optimizers.optimizers["decayed"].param_groups[0]["weight_decay"] = 0.1
    calls: list[str] = []
    for name, optimizer in optimizers.optimizers.items():
        step = optimizer.step
        optimizer.step = lambda name=name, step=step: (calls.append(name), step())[1]
        if not together:
            monkeypatch.setattr(optimizers, "_can_step_together", lambda name, optimizer: False)
    scaler = torch.amp.GradScaler(enabled=False)
    for step in range(6):
        optimizers.zero_grad_some(list(parameters))
        assert all(p.grad is None for group in parameters.values() for p in group)
        for name, group in parameters.items():
            for p in group:
                gradient = torch.randn(p.shape, generator=generator)
                if name != "late" or step in (2, 3, 4, 5):
                    p.grad = gradient.to(device)
        if step == 3:
            spoilt = parameters["decayed"][0].grad
            assert spoilt is not None
            spoilt[2] = float("inf")
        optimizers.optimizer_scaler_step_some(scaler, list(parameters))
        assert optimizers.skipped == (step == 3)
        optimizers.scheduler_step_all(step)
    steps = {name: calls.count(name) for name in parameters}
    assert steps == (
        {"a": 1, "limited": 6, "decayed": 1, "late": 1} if together else dict.fromkeys(options, 6) | {"late": 4}
    )
    return optimizers, [p.detach() for group in parameters.values() for p in group]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_optimisers_that_step_together_do_what_each_does_alone(device, monkeypatch):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    monkeypatch.setattr("nerfstudio.engine.optimizers.writer.put_scalar", lambda name, scalar, step: None)
    (fast, got), (slow, want) = (_trained(device, together, monkeypatch) for together in (True, False))
    for a, b in zip(got, want, strict=True):
        assert torch.equal(a, b)
    for name in slow.optimizers:
        states = fast.optimizers[name].state_dict()["state"], slow.optimizers[name].state_dict()["state"]
        assert states[0].keys() == states[1].keys()
        for key, state in states[1].items():
            assert all(torch.equal(states[0][key][k], state[k]) for k in state) and len(state) == 3
    assert slow.optimizers["a"].state_dict()["state"][0]["step"] == 5  # not the step that was left out
