"""Data-parallel training, two processes on the CPU: each sees other pictures, all hold the same avatar."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from nerfstudio.engine.callbacks import TrainingCallbackLocation
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from nerfstudio_mobavatar import fewer_features
from nerfstudio_mobavatar import model as model_module
from nerfstudio_mobavatar.avatar import Avatar
from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.trainer import MobavatarTrainer
from tests.training_runs import PRUNE_STEP, STEPS, model_of, tiny_config

RANKS, TIMEOUT_S = 2, 120


def parallel_trainer(capture: Path, output: Path) -> MobavatarTrainer:
    """A trainer whose pipeline is wrapped as nerfstudio wraps it, which nerfstudio itself does for CUDA only."""
    trainer = tiny_config(capture, output).setup(local_rank=0, world_size=1)
    trainer.setup()
    pipeline = trainer.pipeline
    pipeline.world_size = pipeline.datamanager.world_size = RANKS
    pipeline._model = DistributedDataParallel(pipeline.model, find_unused_parameters=True)
    return trainer


def train(trainer: MobavatarTrainer, steps: range) -> dict[int, dict[str, Tensor]]:
    """Run steps; the parameters after each. nerfstudio's own loop also writes, saves and draws."""
    after = {}
    for step in steps:
        for callback in trainer.callbacks:
            callback.run_callback_at_location(step, TrainingCallbackLocation.BEFORE_TRAIN_ITERATION)
        loss = trainer.train_iteration(step)[0]
        after[step] = {name: p.detach().clone() for name, p in trainer.pipeline.model.named_parameters()}
        after[step]["loss"] = torch.as_tensor(loss).detach()
    return after


def losses_of_one_process(capture: Path, folder: Path) -> list[float]:
    """Mean loss of every step of a run that sees the pictures of all ranks in turn and moves once."""
    trainer = tiny_config(capture, folder).setup(local_rank=0, world_size=1)
    trainer.setup()
    manager, optimizers = trainer.pipeline.datamanager, trainer.optimizers
    manager.world_size, means = RANKS, []
    for step in range(STEPS):
        for callback in trainer.callbacks:
            callback.run_callback_at_location(step, TrainingCallbackLocation.BEFORE_TRAIN_ITERATION)
        optimizers.zero_grad_all()
        total = torch.zeros(())
        for rank in range(RANKS):
            manager.rank, manager._steps = rank, None
            manager.__dict__.pop("step_dataset", None)
            _, terms, _ = trainer.pipeline.get_train_loss_dict(step)
            loss = torch.stack(list(terms.values())).sum() / RANKS
            loss.backward()
            total += loss.detach()
        optimizers.optimizer_scaler_step_some(trainer.grad_scaler, list(optimizers.parameters))
        optimizers.scheduler_step_all(step)
        means.append(float(total))
    return means


def prune_by_a_noisy_measure(trainer: MobavatarTrainer, rank: int) -> dict[str, Tensor]:
    """What a rank keeps, and the layers that make its features, where statistics, the order of features and the
    measured loss differ a little from rank to rank, as sums by atomics do."""
    model, statistics = model_of(trainer), model_module.corrective_statistics
    with pytest.MonkeyPatch.context() as patch:
        budget = model.config.pruning
        budget.keep_count, budget.allowed_loss_db, budget.score = None, 0.5, "variance"
        patch.setattr(model.viewer_pose, "before_pruning", lambda: None)
        alike = torch.Generator().manual_seed(0)
        for name in ATTRIBUTES:  # features that are worth something, some parts' more than others'
            basis = model.avatar.basis(name).data
            basis.copy_(
                torch.randn(basis.shape, generator=alike) * (1 + model.avatar.get_buffer("part")[:, None, None])
            )
        generator = torch.Generator().manual_seed(rank)

        def noisy(avatar: Avatar, poses: list) -> dict:
            found = statistics(avatar, poses)
            for value in found.values():
                value.score.mul_(1 + 0.1 * torch.rand(value.score.shape, generator=generator))
            return found

        def error(avatar: Avatar, *rest: object) -> float:
            dropped = sum(100 - len(avatar.index(name)) for name in ATTRIBUTES)
            return 1 + dropped / 300 * (1 + 0.2 * rank)

        def turned(covariance: Tensor, cost: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            A, inverse, worth = ordering(covariance, cost)
            return A * (1 + 0.1 * rank), inverse / (1 + 0.1 * rank), worth.roll(rank, 0)

        ordering = fewer_features.ordering
        patch.setattr(fewer_features, "ordering", turned)
        patch.setattr(model_module, "corrective_statistics", noisy)
        patch.setattr(model_module, "picture_error", error)
        optimizers = trainer.optimizers
        model.prune(
            list(optimizers.optimizers.values()), list(optimizers.parameters.values()), trainer, trainer.pipeline
        )
    return {name: model.avatar.index(name).clone() for name in ATTRIBUTES} | {
        "features": model.avatar.mlp_weights[-1].detach()
    }


def worker(rank: int, capture: Path, folder: Path) -> None:
    """One rank: a whole run, then a resume of it from after pruning. Leaves `rank.pt`."""
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", store, timedelta(seconds=TIMEOUT_S), world_size=RANKS, rank=rank)
    trainer = parallel_trainer(capture, folder / f"run{rank}")
    seen: list[list[int]] = []
    next_train = trainer.pipeline.datamanager.next_train

    def record(step: int):
        camera, batch = next_train(step)
        seen.append(torch.as_tensor(batch["image_idx"]).flatten().tolist())
        return camera, batch

    trainer.pipeline.datamanager.next_train = record
    stop = PRUNE_STEP + 2
    after = train(trainer, range(stop))
    state = {k: v.clone() for k, v in trainer.pipeline.state_dict().items()}
    moments = {k: o.state_dict() for k, o in trainer.optimizers.optimizers.items()}
    schedules = {k: s.state_dict() for k, s in trainer.optimizers.schedulers.items()}
    torch.save([state, moments, schedules], folder / f"checkpoint{rank}.pt")
    after |= train(trainer, range(stop, STEPS))
    again = parallel_trainer(capture, folder / f"again{rank}")
    state, moments, schedules = torch.load(folder / f"checkpoint{rank}.pt", weights_only=True)
    again.pipeline.load_pipeline(state, stop - 1)
    again.optimizers.load_optimizers(moments)
    again.optimizers.load_schedulers(schedules)
    resumed = train(again, range(stop, STEPS))
    measured = prune_by_a_noisy_measure(parallel_trainer(capture, folder / f"measured{rank}"), rank)
    torch.save({"seen": seen, "after": after, "resumed": resumed, "measured": measured}, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(mini_capture: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each rank saw, and its parameters after every step."""
    folder = tmp_path_factory.mktemp("ranks")
    context: Any = torch.multiprocessing.spawn(worker, (mini_capture, folder), RANKS, join=False)  # pyright: ignore[reportPrivateImportUsage]
    try:
        while not context.join(TIMEOUT_S):
            pass
    finally:
        for process in context.processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(RANKS)]


def test_ranks_see_different_pictures(ranks):
    """Else the comparison below would prove nothing. Steps 2 and 7 may show one picture twice: ten draws of the five
    poses are two epochs, and there the second rank starts the next one."""
    assert all(ranks[0]["seen"][step] != ranks[1]["seen"][step] for step in range(STEPS) if step not in (2, 7))


@pytest.mark.parametrize("step", [0, PRUNE_STEP - 1, PRUNE_STEP, STEPS - 1])
def test_parameters_stay_the_same_on_all_ranks(ranks, step):
    """Bit for bit: both apply the same averaged gradient to the same numbers."""
    first, second = (r["after"][step] for r in ranks)
    kept = sum(len(first[f"avatar.{name}_basis"]) for name in ATTRIBUTES)
    assert kept == 300 if step < PRUNE_STEP else 90 <= kept <= 113  # two features in the bytes of 20 of each with four
    for name, value in first.items():
        assert name == "loss" or torch.equal(value, second[name]), name


def test_the_losses_are_those_of_one_process_with_all_the_pictures(ranks, mini_capture, tmp_path):
    """Through warm-up and pruning. Without the averaging of gradients they differ by 1e-3."""
    want = torch.tensor(losses_of_one_process(mini_capture, tmp_path))
    got = torch.stack([torch.stack([r["after"][step]["loss"] for step in range(STEPS)]) for r in ranks]).mean(0)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=0)
    assert (got[:-1] - got[1:]).abs().min() > 3e-3 * got.max(), "steps too alike to be told apart"


def test_a_measured_budget_keeps_the_same_correctives_on_all_ranks(ranks):
    first, second = (r["measured"] for r in ranks)
    assert 0 < sum(len(first[name]) for name in ATTRIBUTES) < 300
    for name, rows in first.items():
        assert torch.equal(rows, second[name]), name
    assert float(first["features"].abs().max()) > 0


def test_pruned_bases_go_on_learning(ranks):
    before, after = (ranks[0]["after"][step] for step in (PRUNE_STEP, STEPS - 1))
    assert any(not torch.equal(before[f"avatar.{n}_basis"], after[f"avatar.{n}_basis"]) for n in ATTRIBUTES)


def test_a_resume_after_pruning_goes_on_as_if_nothing_had_happened(ranks):
    for rank in ranks:
        for step, parameters in rank["resumed"].items():
            for name, value in parameters.items():
                assert torch.equal(value, rank["after"][step][name]), (step, name)
