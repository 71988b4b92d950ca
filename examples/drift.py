# %% [markdown]
# # Have the data moved? From a model that was fine in May to labels that pay in July
#
# A machine writes a line of text and three numbers. A model tells faults from normal work. In June nothing changes; in July a
# sensor is replaced and reads higher. Which part of the data moved, what may that cost, and what should a person label next?
# Run this as a script (`python examples/drift.py`, a quarter of a minute) or cell by cell in an editor that knows `# %%`.
# Everything lies in `drift-example/`, or where LABELWISE_EXAMPLE says.

# %%
import csv
import os
from pathlib import Path

import numpy as np

from labelwise.cli.drift import picked
from labelwise.cli.drift_page import write_report
from labelwise.cli.drift_words import headline, sentences
from labelwise.data.columns import Columns
from labelwise.project.drift import drift
from labelwise.project.new import Wish, new
from labelwise.seeds import generator

OUT = Path(os.environ.get("LABELWISE_EXAMPLE", "drift-example"))
OUT.mkdir(parents=True, exist_ok=True)
WORDS = {"normal": ("pump", "running", "valve", "open", "level", "steady"), "fault": ("pump", "noise", "valve", "stuck", "level", "falling")}  # fmt: skip


# %% [markdown]
# ## The data
#
# The fault shows in the words and in the first two numbers. `warmer` is what the new sensor adds to the temperature.


# %%
def machine(month: str, rows: int, labelled: int, warmer: float = 0.0) -> list[str]:
    """Write a month's table and return the true kinds, which the table holds of its first rows only."""
    rng, kinds = generator(0, "example", month), []
    with (OUT / f"{month}.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["line", "temperature", "pressure", "hours", "kind"])
        for row in range(rows):
            temperature, pressure, hours = rng.normal(size=3)
            kind = "fault" if temperature + pressure + 0.5 * rng.normal() > 0 else "normal"
            line = " ".join(rng.choice(WORDS[kind if rng.random() < 0.6 else "normal"], 3))
            told = kind if row < labelled else ""
            table.writerow([line, f"{temperature + warmer:.3f}", f"{pressure:.3f}", f"{hours:.3f}", told])
            kinds.append(kind)
    return kinds


machine("may", rows=500, labelled=200)
machine("june", rows=150, labelled=0)
truth = machine("july", rows=150, labelled=0, warmer=0.8)

# %% [markdown]
# ## A project
#
# As `labelwise new` makes it: 160 labels teach the model, 40 only measure it.

# %%
columns = Columns(text="line", numbers=("temperature", "pressure", "hours"), label="kind")
project, _ = new(OUT / "machine", Wish(table=OUT / "may.csv", columns=columns, classes=("normal", "fault")))

# %% [markdown]
# ## June, and July
#
# `labelwise drift machine --new june.csv` is this call. A radius is never 0, not even in June: classifiers tell any two samples
# apart to some degree. What counts is whether it is above those of random parts of the same samples.

# %%
june, july = (drift(project, OUT / f"{month}.csv", budget=20) for month in ("june", "july"))
for month, found in (("June", june), ("July", july)):
    print(f"{month}. {headline(found)}")
    for one in found.modalities:
        print(
            f"  {one.name:6} radius {one.measured:.2f}, by chance {one.chance_low:.2f} to {one.chance_high:.2f}"
        )

# %% [markdown]
# ## What it may cost, and what to label
#
# The bound trusts that a fault still looks as it did, given the readings. **Here that is not so**: the same machine reads warmer, and
# what was normal now looks like a fault. No look at unlabelled data can tell; labels can. So the last lines matter most.

# %%
for line in sentences(july):
    print("-", line)
names, rows = picked(july, project.settings.classes, "row")
wrong = np.mean([row["suggestion"] != truth[int(row["row"]) - 1] for row in rows])
print(f"The {len(rows)} samples to label first: the model is wrong on {wrong:.0%} of them.")
for kind in july.whom.strata:
    print(f"  {kind.labels} of {kind.samples} {kind.name}")

# %% [markdown]
# ## A page to hand on

# %%
write_report(july, OUT / "report.html", "machine", OUT / "july.csv", rows, names)
write_report(july, OUT / "drift.svg", "machine", OUT / "july.csv", rows, names)
print("Report:", OUT / "report.html")
