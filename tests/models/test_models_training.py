"""The training loop: batches, schedules, early stopping, augmentation, and what it leaves untouched."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from labelwise.errors import InputError, TrainingError, UnknownName
from labelwise.models.device import pick_device, pick_precision, seeded, threads
from labelwise.models.loop import augmented, batch_sizes, train
from labelwise.models.losses import mean_loss
from labelwise.models.training import Training

CPU = torch.device("cpu")


def same(x):
    return x


def linear(inputs=2, classes=2):
    with seeded(0, CPU):
        return nn.Sequential(nn.Linear(inputs, classes))


def blobs(n=64, seed=0):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (n,), generator=g)
    return torch.randn(n, 2, generator=g) + 4 * y[:, None] - 2, y


def fit(network, x, y, training, **more):
    return train(network, x, y, training, torch.Generator().manual_seed(1), same, **more)


@pytest.mark.parametrize(
    "n,size,sizes",
    [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (8, 4, [4, 4]), (3, 64, [3]), (5, 2, [2, 3]), (2, 2, [2])],
)
def test_no_batch_holds_a_single_sample(n, size, sizes):
    assert batch_sizes(n, size) == sizes


def test_training_lowers_the_loss_and_says_so():
    x, y = blobs()
    network = linear()
    before = mean_loss(network, x, y, same, 16)
    done = fit(network, x, y, Training(epochs=10, lr=0.05, batch_size=8))
    assert mean_loss(network, x, y, same, 16) < before / 2
    assert done.notes["epochs"] == 10
    assert done.notes["accuracy"] > 0.9
    assert not network.training


def test_every_epoch_shows_every_sample_once():
    seen = []
    x = torch.arange(10.0)[:, None].expand(-1, 2).clone()

    def watch(batch):
        seen.extend(batch[:, 0].int().tolist())
        return batch

    train(linear(), x, torch.zeros(10, dtype=torch.int64), Training(epochs=2, batch_size=4),
          torch.Generator().manual_seed(0), watch)  # fmt: skip
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_a_single_sample_can_be_learned_from():
    network = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    fit(network, torch.ones(1, 2), torch.tensor([1]), Training(epochs=30, lr=0.1))
    assert network(torch.ones(1, 2)).argmax() == 1


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_every_optimiser_learns(optimiser):
    x, y = blobs()
    done = fit(linear(), x, y, Training(epochs=10, lr=0.05, batch_size=8, optimiser=optimiser))
    assert done.notes["accuracy"] > 0.9


def test_rates_by_hand():
    cosine = Training(epochs=4, lr=1.0, schedule="cosine")
    half = math.sqrt(0.5)  # cos of an eighth and three eighths of a turn
    assert_allclose([cosine.rate(s, 1) for s in range(4)], [1, (1 + half) / 2, 0.5, (1 - half) / 2])
    step = Training(epochs=4, lr=1.0, schedule="step", milestones=(0.5, 0.75), gamma=0.1)
    assert_allclose([step.rate(s, 1) for s in range(4)], [1, 1, 0.1, 0.01])
    warm = Training(epochs=4, lr=1.0, warm_up=2)
    assert_allclose([warm.rate(s, 2) for s in range(6)], [0.25, 0.5, 0.75, 1, 1, 1])


def test_the_rate_reaches_the_optimiser():
    x, y = blobs(8)
    done = fit(linear(), x, y, Training(epochs=4, lr=0.5, schedule="step", batch_size=8))
    assert_allclose(done.optimiser.param_groups[0]["lr"], 0.5 * 0.1 * 0.1)


def test_early_stopping_brings_the_best_weights_back():
    x, y = blobs(32)
    x_v, y_v = blobs(32, seed=1)
    flipped = 1 - y_v  # whatever is learned makes this validation worse: the first epoch is the best
    network = linear()
    one = linear()
    fit(one, x, y, Training(epochs=1, lr=0.05))
    done = fit(network, x, y, Training(epochs=50, lr=0.05, patience=3), validation=(x_v, flipped))
    assert done.notes["best_epoch"] == 1
    assert done.notes["epochs"] == 4
    for a, b in zip(network.parameters(), one.parameters(), strict=True):
        assert torch.equal(a, b)
    assert_allclose(done.notes["validation_loss"], mean_loss(network, x_v, flipped, same, 32), rtol=1e-6)


def test_without_patience_validation_changes_nothing():
    x, y = blobs(16)
    a, b = linear(), linear()
    fit(a, x, y, Training(epochs=3))
    fit(b, x, y, Training(epochs=3), validation=blobs(16, seed=1))
    assert torch.equal(a[0].weight, b[0].weight)


def test_a_loss_that_is_no_number_names_epoch_and_rate():
    x, y = torch.ones(16, 2), torch.arange(16) % 2  # no network tells them apart: the loss cannot fall to 0
    with seeded(0, CPU):
        network = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 2))
    with pytest.raises(TrainingError, match=r"it is (nan|inf) in epoch \d+ with lr 1e\+30"):
        fit(network, x * 1e9, y, Training(epochs=20, lr=1e30, optimiser="sgd"))


def test_clipping_bounds_the_step():
    x, y = blobs(16)
    network, before = linear(), linear()
    fit(
        network,
        x * 1e3,
        y,
        Training(epochs=1, batch_size=16, lr=1.0, optimiser="sgd", momentum=0.0, clip=0.01),
    )
    after = torch.cat([p.detach().flatten() for p in network.parameters()])
    moved = after - torch.cat([p.detach().flatten() for p in before.parameters()])
    assert 0 < float(moved.norm()) <= 0.01 * 1.001  # lr 1 times a gradient of norm 0.01, in float32


def test_label_smoothing_keeps_the_network_less_sure():
    x, y = blobs(64)
    sure, smooth = linear(), linear()
    fit(sure, x, y, Training(epochs=60, lr=0.1))
    fit(smooth, x, y, Training(epochs=60, lr=0.1, label_smoothing=0.4))
    top = [float(n(x).softmax(1).max(1).values.mean().detach()) for n in (sure, smooth)]
    assert top[1] < 0.9 < top[0]  # the best answer to smoothing 0.4 of 2 classes is 0.8


def test_shifts_move_images_by_no_more_than_asked():
    x = torch.zeros(200, 7, 7, 1, dtype=torch.uint8)
    x[:, 3, 3] = 9
    moved = augmented(x, Training(shift=2), torch.Generator().manual_seed(0))
    where = moved[..., 0].nonzero()
    assert moved.shape == x.shape
    assert moved.dtype == torch.uint8
    assert set(where[:, 1].tolist()) == set(where[:, 2].tolist()) == {1, 2, 3, 4, 5}
    assert len(where) == 200


def test_flips_mirror_about_half_of_the_images():
    x = torch.arange(3.0).expand(400, 2, 3)[..., None].clone()
    flipped = augmented(x, Training(flip=True), torch.Generator().manual_seed(0))
    mirrored = flipped[:, 0, 0, 0] == 2
    assert torch.equal(flipped[mirrored], x[mirrored].flip(2))
    assert torch.equal(flipped[~mirrored], x[~mirrored])
    assert 150 < int(mirrored.sum()) < 250  # 200 ± 5 standard deviations of 10


@pytest.mark.parametrize("channels", [1, 3])
def test_an_augmented_image_is_a_crop_of_the_bordered_and_perhaps_mirrored_one(channels):
    x = torch.arange(1, 1 + 30 * 4 * 5 * channels).reshape(30, 4, 5, channels)
    got = augmented(x, Training(shift=2, flip=True), torch.Generator().manual_seed(0))
    seen = set()
    for image, out in zip(x, got, strict=True):
        bordered = torch.zeros(8, 9, channels, dtype=x.dtype)
        bordered[2:6, 2:7] = image
        found = [
            (down, right, mirrored)
            for down in range(5)
            for right in range(5)
            for mirrored in (False, True)
            if torch.equal(_crop(bordered, down, right, mirrored), out)
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 15  # of 50; 30 draws hit 23 on average


def _crop(bordered, down, right, mirrored):
    cut = bordered[down : down + 4, right : right + 5]
    return cut.flip(1) if mirrored else cut


def test_tables_are_not_augmented():
    x = torch.rand(4, 5)
    assert augmented(x, Training(shift=2, flip=True), torch.Generator()) is x


def test_half_precision_learns_where_it_is_asked_for():
    x, y = blobs()
    network = linear()
    done = fit(network, x, y, Training(epochs=10, lr=0.05, precision="bfloat16", batch_size=8))
    assert done.notes["accuracy"] > 0.9
    assert network[0].weight.dtype == torch.float32
    assert pick_precision("auto", CPU) == torch.float32


def test_progress_ends_at_the_last_batch():
    told = []
    x, y = blobs(50)
    fit(linear(), x, y, Training(epochs=3, batch_size=4), progress=lambda *at: told.append(at))
    assert told[-1] == (39, 39)  # 3 epochs of 13 batches: 12 of 4 samples and one of 2
    assert len(told) == 2  # after 20 batches and at the end


@pytest.mark.parametrize(
    "bad,words",
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1; it is 0"),
        ({"batch_size": 1}, "batch_size must be a whole number of at least 2; it is 1"),
        ({"lr": 0.0}, r"lr must lie in \(0, inf\); it is 0.0"),
        ({"lr": float("nan")}, "lr must lie in"),
        ({"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\)"),
        ({"clip": 0.0}, "clip must lie in"),
        ({"milestones": (1.5,)}, "milestones must be shares"),
        ({"patience": 0}, "patience"),
        ({"shift": -1}, "shift"),
        ({"threads": 0}, "threads"),
    ],
)
def test_settings_that_make_no_sense_are_refused(bad, words):
    with pytest.raises(InputError, match=words):
        Training(**bad)


@pytest.mark.parametrize("bad", [{"optimiser": "adma"}, {"schedule": "cosin"}, {"precision": "float31"}])
def test_unknown_names_are_refused_with_the_nearest(bad):
    with pytest.raises(UnknownName, match="Did you mean"):
        Training(**bad)


def test_threads_and_generator_are_as_before_even_after_an_error():
    n, state = torch.get_num_threads(), torch.get_rng_state()
    seen = []

    def fail():
        seen.append(torch.get_num_threads())
        torch.rand(5)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), threads(n + 1), seeded(3, CPU):
        fail()
    assert seen == [n + 1]
    assert torch.get_num_threads() == n
    assert torch.equal(torch.get_rng_state(), state)


def test_seeded_gives_the_same_draws():
    draws = []
    for _ in range(2):
        with seeded(7, CPU):
            draws.append(torch.rand(4))
    with seeded(8, CPU):
        other = torch.rand(4)
    assert torch.equal(*draws)
    assert not torch.equal(draws[0], other)


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="it is 'gpu'"):
        pick_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="'cuda', which torch does not find here"):
            pick_device("cuda")
        assert pick_device("auto").type in ("cpu", "mps")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_loop_runs_on_a_gpu_and_leaves_its_generator_alone():
    state = torch.cuda.get_rng_state()
    x, y = blobs()
    device = pick_device("cuda")
    weights = []
    for _ in range(2):
        with seeded(0, device):
            network = nn.Linear(2, 2).to(device)
            done = fit(network, x.to(device), y.to(device), Training(epochs=5, lr=0.05))
        weights.append(network.weight.detach().cpu().numpy())
    assert done.notes["accuracy"] > 0.8
    assert np.array_equal(*weights)
    assert torch.equal(torch.cuda.get_rng_state(), state)
