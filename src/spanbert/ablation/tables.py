"""The results of an ablation for people: tables on a terminal, and the README.md of its folder."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from spanbert.ablation.cells import MEASURED_SCHEMES
from spanbert.ablation.config import ROWS, AblateConfig, RowName
from spanbert.ablation.folder import PICTURE
from spanbert.ablation.results import Results, RowFigures, Step, TaskResult
from spanbert.read_summary import counted

_NAMES = {"row", "learned from", "change", "task", "can be told?"}
"""Columns that hold no figures."""


@dataclass(frozen=True)
class Table:
    """A table of texts; columns of names stand to the left, those of figures to the right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """For README.md."""
        rule = ["---" if name in _NAMES else "---:" for name in self.header]
        lines = [f"| {' | '.join(row)} |" for row in (self.header, rule, *self.rows)]
        return "\n".join(lines)

    def print(self, console: Console) -> None:
        """On a terminal."""
        console.print(Text(self.title, style="bold"), soft_wrap=True)
        table = RichTable(box=None, padding=(0, 2, 0, 0))
        for name in self.header:
            table.add_column(Text(name), justify="left" if name in _NAMES else "right")
        for row in self.rows:
            table.add_row(*map(Text, row))
        console.print(table)
        console.print()


def tables_of(results: Results) -> list[Table]:
    """The tables: figures of tasks, differences, held-out losses, what pre-training took."""
    tables = []
    if shown := [one for one in results.tasks if one.rows]:
        tables.append(_figures(results, shown))
        if any(one.steps for one in shown):
            tables.append(_differences(shown))
    if results.pretraining:
        tables += [_held_out(results), _effort(results)]
    return tables


def readme(config: AblateConfig, results: Results) -> str:
    """The README.md of an ablation's folder."""
    one = config.pretraining(config.rows[0], config.seed, config.output, batch_size=config.batch_size)
    layers, width, heads = one.shape
    parts = [
        "# The paper's question at this size",
        f"Encoders of {counted(layers, 'layer')} x {width} ({counted(heads, 'attention head')}), each pre-trained with "
        f"`spanbert ablate` on `{config.corpus.name}`: {config.steps:,} steps of blocks of at most "
        f"{config.sequence_length} pieces, {100 * config.budget:g} % of these masked; {config.optimizer} at "
        f"{config.learning_rate:g} after a warm-up of {100 * config.warmup:g} % of the steps, then {config.schedule}; "
        f"dropout {config.dropout:g}, first weights of {config.initializer_range:g}; the same held-out "
        f"documents. Rows differ in nothing but what they say; seeds from {config.seed} on.",
    ]
    if results.done < results.planned:
        parts.append(
            f"**Unfinished**: {results.done:,} of {results.planned:,} runs are done. The same command goes on."
        )
    if not results.tasks:
        parts.append("No tasks were given (`--tasks`): this compares pre-training only.")
    for table in tables_of(results):
        parts += [f"## {table.title}", table.markdown()]
    if results.pretraining:
        parts.append(f"![Figures by row, with intervals; a dot for each seed]({PICTURE})")
    parts += ["## How to read this", *notes(config, results)]
    return "\n\n".join(parts) + "\n"


def notes(config: AblateConfig, results: Results) -> list[str]:
    """What a reader must know to read the tables right."""
    lines = []
    if any(one.rows for one in results.tasks):
        lines.append(
            f"A figure is the mean over the row's seeds. Its 95 % interval is of {config.samples:,} draws of the test "
            "examples: it says what another test set might have given, not what another seed might have. ± is the "
            "standard deviation between seeds."
        )
    steps = [step for one in results.tasks for step in one.steps]
    if steps:
        with_seeds = (
            "and, by the spread of the rows with several seeds, for other seeds (also where a row has only one: its "
            "spread is taken to be the same)"
            if all(step.knows_seeds for step in steps)
            else "only. **How much another seed would change is not known**: no row has several, so a difference that "
            "can be told here is one between these models and not yet between the ways to train them"
        )
        lines.append(
            f"A difference is to the row before, on the same draws. Its interval allows for other test examples "
            f"{with_seeds}. Where it covers zero there is no difference that can be told. Of "
            f"{counted(len(steps), 'difference')}, one in twenty would be told by chance alone."
        )
    lines.append(
        "The held-out loss (nats a masked piece, less is better) is of the masked language model alone, on the same "
        "single sequences and under the same masks for every row. It favours the rows that learned from masks of that "
        f"kind, and from single sequences. Its interval is of {config.samples:,} draws of the held-out blocks, which "
        "count as independent; blocks of one document are not quite. All rows are measured on the same blocks, so a "
        "difference between rows is surer than the intervals of the two look."
    )
    lines.append(
        "Steps and pieces are equal (to within a block a step), not time: seconds are those of the whole pre-training, "
        "with validation and saving, on this machine and with whatever else ran on it. Pieces are those that went "
        "through the encoder, special ones counted."
    )
    if config.keep_models:
        lines.append("`rows/` holds every encoder and every fine-tuned model.")
    else:
        lines.append(
            "`rows/` holds every encoder; of the fine-tuned models the figures, curves and predictions "
            "(`--keep-models` keeps their weights, too)."
        )
    return lines


def _figures(results: Results, shown: Sequence[TaskResult]) -> Table:
    header = ["row", "seeds", *(f"{one.task.name}, {one.task.metric.replace('_', ' ')}" for one in shown)]
    rows = []
    for row, seeds in results.pretraining.items():
        cells = [_figure(one.rows[row], _places(one)) if row in one.rows else "" for one in shown]
        rows.append([row, str(len(seeds)), *cells])
    examples = ", ".join(f"{one.task.name} {counted(one.examples, 'example')}" for one in shown)
    return Table(f"Test figures, with 95 % intervals ({examples})", header, rows)


def _places(task: TaskResult) -> int:
    """Places after the point, the same for all figures of a task: two for percentages, four for what stays within 1."""
    largest = max(abs(row.interval.value) for row in task.rows.values())
    return 2 if largest > 1 or largest == 0 else 4


def _figure(row: RowFigures, places: int) -> str:
    text = f"{row.interval.value:.{places}f}"
    if row.spread is not None:
        text += f" ± {row.spread:.{places}f}"
    if row.interval.low is not None and row.interval.high is not None:
        text += f" ({row.interval.low:.{places}f} – {row.interval.high:.{places}f})"
    return text


def _differences(shown: Sequence[TaskResult]) -> Table:
    header = ["change", "task", "difference", "95 % interval", "can be told?"]
    steps = [(one, step) for one in shown for step in one.steps]
    order: list[tuple[RowName, RowName]] = list(dict.fromkeys((step.before, step.after) for _, step in steps))
    steps.sort(key=lambda pair: order.index((pair[1].before, pair[1].after)))
    rows = [
        [
            f"{step.before} → {step.after}",
            one.task.name,
            f"{step.difference.value:+.{_places(one)}f}",
            f"{step.low:+.{_places(one)}f} – {step.high:+.{_places(one)}f}",
            verdict(step),
        ]
        for one, step in steps
    ]
    return Table("Difference to the row before", header, rows)


def verdict(step: Step) -> str:
    """What a difference says: nothing where its interval covers zero."""
    if not step.can_be_told:
        return "none that can be told"
    direction = "higher" if step.difference.value > 0 else "lower"
    return direction if step.knows_seeds else f"{direction}, for these seeds"


def _held_out(results: Results) -> Table:
    header = ["row", "learned from", "seeds", *(f"loss, {scheme}" for scheme in MEASURED_SCHEMES)]
    rows = []
    for row, seeds in results.pretraining.items():
        losses = [_figure(results.held_out(row, scheme), 3) for scheme in MEASURED_SCHEMES]
        rows.append([row, ROWS[row].words, str(len(seeds)), *losses])
    one = next(iter(next(iter(results.pretraining.values())).values()))
    blocks = counted(one["held_out_blocks"], "block")
    return Table(f"Pre-training: held-out losses by what is masked, with 95 % intervals ({blocks})", header, rows)


def _effort(results: Results) -> Table:
    header = ["row", "blocks a step", "pieces", "wall s", "CPU s"]
    rows = []
    for row, seeds in results.pretraining.items():
        runs = list(seeds.values())
        least = "" if all(one["time_is_whole"] for one in runs) else "at least "
        times = [
            f"{least}{_seconds(statistics.mean(one[key] for one in runs))}" for key in ("wall_seconds", "cpu_seconds")
        ]
        pieces = statistics.mean(one["pieces"] for one in runs)
        rows.append([row, f"{runs[0]['blocks_of_a_step']:,}", f"{pieces:,.0f}", *times])
    return Table("Pre-training: what it took (means over seeds)", header, rows)


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
