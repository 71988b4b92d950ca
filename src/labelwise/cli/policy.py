"""`labelwise policy`: learned policies as files, trained over many campaigns and looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelwise.cli.chosen import Grid, Only, Protocol, Scale, as_folder, chosen_bench
from labelwise.cli.running import command_line, counted, see_to_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelwise.bench.launch import Job
    from labelwise.bench.spec import Spec

policy_app = typer.Typer(
    help="Train a policy over many campaigns and keep it in a file, or say what such a file holds.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@policy_app.command("train", no_args_is_help=True)
def train_command(
    grid: Grid = None,
    protocol: Protocol = None,
    episodes: Annotated[int, typer.Option("--episodes", "-n", help="Campaigns, one after another.")] = 10,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the policy goes.")] = Path(
        "policy.safetensors"
    ),
    start: Annotated[
        Path | None, typer.Option("--from", help="Go on from this policy instead of a fresh one.")
    ] = None,
    first_seed: Annotated[
        int, typer.Option(help="Seed of the first campaigns; benches count from 0.")
    ] = 1000,
    folder: Annotated[
        Path | None, typer.Option("--folder", "-f", help="Where the runs go; default: runs/NAME-episodes.")
    ] = None,
    jobs: Annotated[
        int,
        typer.Option("--jobs", "-j", help="Processes at a time for a bank; episodes wait for each other."),
    ] = 1,
    scale: Scale = None,
    only: Only = None,
) -> None:
    """Train a policy episode by episode: each campaign goes on with what the one before it learned.

    Example: labelwise policy train --protocol rl-mba/training --episodes 20 --out policy.safetensors

    One campaign has a handful of rounds, too few to learn from. Here the tasks of the file take turns, with a new seed
    after each turn, and the policy is handed on. Make episodes cheap: small recipes and budgets will do, for a policy
    reads no sample, only numbers of the round. Ctrl-C loses nothing; the same command goes on, and more --episodes later
    add to those that are there.

    Use it: strategy = {name = "rl-mba", policy = "policy.safetensors"} goes on learning; with frozen = true it only
    chooses. The file must lie in the folder of the runs.
    """
    from labelwise.bench.episodes import begun_with, episodes_of, going_on, kept
    from labelwise.bench.launch import launch
    from labelwise.cli.progress import phase_bar
    from labelwise.errors import LabelwiseError

    bench = chosen_bench(grid, protocol, scale, only)
    where = folder or Path("runs") / f"{as_folder(bench.name)}-episodes"
    wanted = episodes_of(bench.specs, episodes, first_seed)
    policy = begun_with(start, where) if start is not None else None
    see_to_files(wanted, where, jobs, bench.name)
    total, bought = sum(spec.plan.budget for spec in wanted), 0
    done: list[Spec] = []
    with phase_bar("labels bought") as tell:

        def watch(jobs_now: Sequence[Job]) -> None:
            tell(bought + jobs_now[0].bought, total, f"episode {len(done) + 1} of {episodes}")

        for spec in wanted:
            spec = going_on(spec, policy)
            notes = {"command": command_line(), "bench": bench.name}
            (job,) = launch([spec], where, notes=notes, watch=watch)
            if job.status != "done":
                raise LabelwiseError(f"Episode {len(done) + 1} ({spec.id}) did not finish: {job.why}")
            done.append(spec)
            bought += spec.plan.budget
            policy = kept(done, where)
    kept(done, where, out)
    typer.echo(f"{counted(episodes, 'episode')}. Policy: {out}")


@policy_app.command("show", no_args_is_help=True)
def show_command(file: Annotated[Path, typer.Argument(help="A file that `policy train` wrote.")]) -> None:
    """Say what a policy was trained on, as JSON: its reward, its updates, and every episode.

    Example: labelwise policy show policy.safetensors
    """
    import json

    from labelwise.strategies.balance.policy import load_policy

    held = load_policy(file)
    told = {key: held[key] for key in ("modalities", "reward kind", "updates", "baseline")}
    typer.echo(json.dumps({**told, **held["about"]}, indent=1))
