"""`embedding-runtime prune`: give back what a cache no longer needs."""

import sys
from pathlib import Path

import click

from embedding_model.cache.pruning import prune as prune_cache
from embedding_model.refusal import Refusal, Unavailable
from embedding_runtime.commands.flags import flag
from embedding_runtime.termination import report_failure

HOUR = 3600.0
DAY = 24 * HOUR
UNUSED_DAYS = 30.0  # longer than pods usually live: see the help
PART_HOURS = 24.0  # a download that writes nothing for a day is dead


@click.command()
@flag(
    "--cache",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The volume; only its folder embedding-operator-v1 is touched.",
)
@flag(
    "--unused-days",
    type=click.FloatRange(min=1),
    default=UNUSED_DAYS,
    show_default=True,
    help="Remove files that no pod has started with for so long.",
)
@flag(
    "--part-hours",
    type=click.FloatRange(min=1),
    default=PART_HOURS,
    show_default=True,
    help="Remove unfinished downloads that nothing was written to for so long.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def prune(cache: Path, unused_days: float, part_hours: float, dry_run: bool) -> None:
    """Remove from a shared cache what no pod has used for long, and what interrupted downloads left.

    A file counts as used when a pod starts with it. A pod that has run for longer than --unused-days needs its files
    again only when its container restarts; then it fails and says so, and a new pod fetches them again.
    """
    try:
        pruned = prune_cache(cache, unused_seconds=unused_days * DAY, part_seconds=part_hours * HOUR, dry_run=dry_run)
    except (Refusal, Unavailable) as error:
        sys.exit(report_failure(error))
    done = "would free" if dry_run else "freed"
    click.echo(
        f"{done} {pruned.bytes} bytes: {pruned.files} files and {pruned.parts} unfinished downloads; "
        f"{pruned.kept} files stay"
    )
