# %% [markdown]
# # Several modalities, from a look at the samples to a report
#
# Some samples have two halves, some only one. Which ones are worth a person's time? Run this as a script
# (`python examples/multimodal.py`, half a minute) or cell by cell in an editor that knows `# %%`. No data are downloaded.
# Pictures, runs and the report lie in `multimodal-example/`, or where LABELWISE_EXAMPLE says.

# %%
import os
from contextlib import closing
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from labelwise import data, models
from labelwise.bench.report import write_report
from labelwise.bench.run import run
from labelwise.bench.spec import read_spec
from labelwise.data import Labelled
from labelwise.functional.contribution import contribution
from labelwise.functional.evidence import conflict, difficulty, vacuity, weighted_fusion
from labelwise.seeds import generator
from labelwise.selection import proposal
from labelwise.store import open_store
from labelwise.strategies.balance.policy import load_policy, save_policy

OUT = Path(os.environ.get("LABELWISE_EXAMPLE", "multimodal-example"))
OUT.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## The samples
#
# `digit-halves` shows handwritten digits as two pictures, the upper and the lower half. We take the lower half away from 30 %
# of them, in the pool and in the test part alike, as captions or recordings are missing in life.

# %%
TASK = {"name": "digit-halves", "missing": {"bottom": 0.3}, "missing_parts": ["train", "test"]}
simulation = data.make(**TASK)
task = simulation.task
names = task.data.modalities
batch = task.data.batch(task.pool)
print(f"{len(task.pool)} in the pool, {len(task.validation)} validate, {len(task.test)} test")
for name, share in zip(names, batch["present"].mean(axis=0), strict=True):
    print(f"  {name}: {batch[name].dtype} {batch[name].shape[1:]}, there in {share:.0%}")


# %%
def draw(axes, batch, row, modality):
    """Draw one modality of a sample; a missing one is an empty box."""
    axes.set(xticks=[], yticks=[], xlim=(-0.5, 7.5), ylim=(3.5, -0.5), aspect="equal")
    if batch["present"][row, modality]:
        axes.imshow(batch[names[modality]][row], cmap="gray", vmin=0, vmax=255)
    else:
        axes.text(3.5, 1.5, "missing", ha="center", va="center", color="#5b6470")


figure = Figure(figsize=(9, 1.6), layout="constrained")
grid = figure.subplots(len(names), 8)
for (modality, column), axes in np.ndenumerate(grid):
    draw(axes, batch, column, modality)
for column in range(8):
    grid[0, column].set_title(task.classes[simulation.truth[task.pool[column]]], fontsize=10)
for modality, name in enumerate(names):
    grid[modality, 0].set_ylabel(name)
figure.savefig(OUT / "samples.png", dpi=120)
print("Picture:", OUT / "samples.png")

# %% [markdown]
# ## A model with an opinion for each modality
#
# The recipe `multimodal` trains an encoder and a head a modality, and one answer of all. A head gives *evidence*: none means "I
# do not know". What is missing is no evidence; nothing is made up for it. Here it learns from 60 random labels.

# %%
RECIPE = {
    "name": "multimodal",
    "encoders": {"top": "mlp", "bottom": "mlp"},  # these halves are tiny; without this line: small CNNs
    "width": 32,
    "projection": 16,
    "epochs": 40,
    "batch_size": 32,
    "lr": 0.01,
}
recipe = models.make(**RECIPE)
known, pool = task.pool[:60], task.pool[60:]
train = Labelled(known, simulation.truth[known])
predictor = recipe.fit(task.data, train, pool, task.validation, task.n_classes, generator(0, "fit"))

# %% [markdown]
# What does each modality know, and what does it add? The Shapley value φ of a modality is its fair share of the accuracy: how much
# comes with it, averaged over the orders in which modalities may join. D(φ) says how uneven the shares are. They are looked at
# on test data and reach no training and no strategy.

# %%
wanted = frozenset({"probs", "modal_probs", "coalitions"})
told = predictor.infer(task.data, task.test.ids, wanted)
shares = contribution(told.coalitions, told.modal_probs, task.test.y)
print(f"all modalities together: accuracy {np.mean(told.probs.argmax(axis=1) == task.test.y):.3f}")
for name, alone, phi in zip(names, shares["accuracy"], shares["shapley"], strict=True):
    print(f"  {name}: alone {alone:.3f}, φ = {phi:.3f}")
print(f"  D(φ) = {shares['dispersion']:.3f}")

# %% [markdown]
# ## One round by hand, and why a sample was asked for
#
# `rl-mba` measures on the validation part what each modality is worth, looks for samples that are hard and unlike one another, and
# lets a policy draw the batch. Its notes say why.

# %%
signals = frozenset({"evidence", "modal_embeddings", "present"})
seen = predictor.infer(task.data, pool, signals)
checked = predictor.infer(task.data, task.validation.ids, frozenset({"probs", "modal_probs", "present"}))
held_out = {
    "probs": checked.probs,
    "modal_probs": checked.modal_probs,
    "present": checked.present,
    "y": task.validation.y,
}
found = proposal("rl-mba", seen, 20, validation=held_out, modalities=names)
told_weights = found.notes["modality weights"]
weights = np.array([told_weights[name] for name in names])
print("weights:", {name: round(weight, 2) for name, weight in told_weights.items()})


# %% [markdown]
# Two samples: the first of the batch that has both halves, and the one of the pool whose halves contradict one another most. What is
# hard for `rl-mba` is what nobody has evidence for: vacuity near 1, and so no conflict either. A contradiction between two modalities
# that are both sure is a thing of its own.

# %%
evidence = np.where(seen.present[:, :, None], seen.evidence, 0)  # of a missing modality: none
clash = conflict(evidence)
complete = found.rows[seen.present[found.rows].all(axis=1)]
chosen = {"asked for": int(complete[0]), "most conflict": int(clash.argmax())}

figure = Figure(figsize=(9, 4.4), layout="constrained")
grid = figure.subplots(len(chosen), 3, width_ratios=[1, 1, 3])
places = np.arange(task.n_classes)
for (why, row), line in zip(chosen.items(), grid, strict=True):
    sample, opinions = task.data.batch(seen.ids[[row]]), evidence[row]
    fused = weighted_fusion(opinions[None], weights)[0]
    print(
        f"sample {seen.ids[row]} ({why}), conflict {clash[row]:.2f}, difficulty {difficulty(fused, normalise=True):.2f}:"
    )
    told_by = zip([*names, "fused"], [*opinions, fused], ["#0072B2", "#E69F00", "#1a1a1a"], strict=True)
    for k, (name, values, colour) in enumerate(told_by):
        worth = f", weight {weights[k]:.2f}" if k < len(names) else ": Σ w e"
        print(f"  {name}{worth}: {task.classes[values.argmax()]}, vacuity {vacuity(values):.2f}")
        line[2].bar(places + 0.27 * (k - 1), values, 0.25, color=colour, label=f"{name}{worth}")
        if k < len(names):
            draw(line[k], sample, 0, k)
            line[k].set_title(name, fontsize=10)
    line[0].set_ylabel(f"{why}: {task.classes[simulation.truth[seen.ids[row]]]}")
    line[2].set_xticks(places, task.classes)
    line[2].set_ylabel("evidence")
    line[2].set_title(f"conflict {clash[row]:.2f}", loc="left", fontsize=10)
    line[2].spines[["top", "right"]].set_visible(False)
grid[0, 2].legend(frameon=False)
grid[1, 2].set_xlabel("class")
figure.savefig(OUT / "why.png", dpi=120)
print("Picture:", OUT / "why.png")

# %% [markdown]
# ## Which strategy would have bought more?
#
# Whole campaigns with a simulated annotator: 20 labels to start with, 20 a round, 100 in all. Strategies share start, seeds and
# data, so that differences are paired. A run is a file: stop this cell and run it again, and it goes on where it was.

# %%
RUNS = OUT / "runs"


def spec(strategy, seed):
    """Return a campaign of this task and recipe."""
    plan = {"seed": seed, "start": 20, "batch": 20, "budget": 100}
    return read_spec({"task": TASK, "recipe": RECIPE, "strategy": strategy, "plan": plan})


STRATEGIES = ["random", "bmmal", "rl-mba"]
runs = [run(spec({"name": name}, seed), RUNS) for name in STRATEGIES for seed in (0, 1)]

# %% [markdown]
# The report begins with the answer in words, then shows curves, paired differences, what each modality contributed, how the policy
# learnt, and single samples with the reasons. Two seeds are for looking, not for believing: it says so itself.

# %%
report = write_report(
    runs,
    OUT / "report.html",
    name="Digits in two halves",
    about="The lower half is missing from 30 % of the samples.",
    load=lambda spec: simulation,
)
setting = report.comparison.settings[0]
print(setting.headline)
print(f"{'strategy':10}{'AUBC':>8}{'accuracy':>10}{'D(φ)':>8}")
for summary in setting.strategies:
    mine = [one for one in runs if one.strategy == summary.name]
    uneven = np.mean([one.fits[-1].analysis["dispersion"] for one in mine])
    print(f"{summary.name:10}{summary.aubc.mean:>8.3f}{summary.final.mean:>10.3f}{uneven:>8.3f}")
print("Report:", report.paths["html"])

# %% [markdown]
# ## A policy that goes on
#
# One campaign teaches a policy little. What it learned can go on with the next campaign, on other data with as many modalities, too.
# The file holds numbers of rounds, nothing of the samples, and nothing in it is executed.

# %%
with closing(open_store(runs[-1].path, create=False)) as store:
    save_policy(RUNS / "taught.safetensors", store.state()["strategy"], {"task": task.name, "seed": 1})
before = load_policy(RUNS / "taught.safetensors")
further = run(spec({"name": "rl-mba", "policy": "taught.safetensors"}, 2), RUNS)
print(
    f"{before['updates']} updates before, {further.state.asks[-1].notes['updates']} by the last batch after"
)

# %% [markdown]
# ## Your own data
#
# A table with a column of image paths, a column of text, and labels where they are known; empty cells are missing modalities:
#
#     photo,caption,kind
#     001.jpg,a red apple,apple
#     002.jpg,,pear
#     ,soft and green,
#
# For people who label, on the command line. Label the first fifty or so as you like: `rl-mba` measures on a part of them.
#
#     labelwise new fruit --table items.csv --images photos/ --image-column photo --text caption \
#         --label-column kind --recipe multimodal --strategy rl-mba
#     labelwise ask fruit -n 20 > batch.csv       # fill in the column `label`
#     labelwise tell fruit batch.csv
#
# In Python the same table is a task, and a campaign asks and is told:
#
#     source = data.table_task("items.csv", image="photo", text="caption", label="kind", root="photos", size=64)
#     campaign = Campaign(source.task, models.make("multimodal"), make("rl-mba"), open_store("fruit.db"), Plan(batch=20))
#     ids = campaign.ask()
#     print([source.keys[i] for i in ids])        # whom to look at
#     campaign.tell([(ids[0], 1), ...])           # (id, class index), or None for "I cannot say"
#
# If all rows have labels, `data.table_simulation` in place of `data.make` lets everything above run on your data.
