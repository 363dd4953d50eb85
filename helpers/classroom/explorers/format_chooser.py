"""Which format do I need? Four questions, five formats, one table that decides."""

from dataclasses import dataclass, replace

import pandas

from helpers.classroom.charts import Chart
from helpers.classroom.charts.drawing import COLOURS, WIDTH, label, picture
from helpers.classroom.panel import Check, Panel

QUESTIONS = {
    "resume": "I will go on training",
    "elsewhere": "It must run outside PyTorch",
    "no_class": "My class will not be there",
    "strangers": "Strangers will open it",
}
# Each question's heading, in two lines; then where the columns stand.
HEADINGS = (
    ("trains", "on"),
    ("any", "runtime"),
    ("needs", "no class"),
    ("has no", "pickle"),
)
KEEPS, COLUMNS = 162, (396, 451, 509, 566)


@dataclass(frozen=True)
class Format:
    """A file format: what it keeps, which questions it answers with yes, and a reason."""

    name: str
    keeps: str
    answers: frozenset[str]
    reason: str
    notebook: str


# From the plainest to the heaviest: the first that answers every question is taken.
FORMATS = (
    Format(
        "State dict (.pt)",
        "weights",
        frozenset(),
        "Tensors under their names: the plainest file, and any PyTorch since 1.6 reads it.",
        "01_state_dicts",
    ),
    Format(
        "Checkpoint (.pt)",
        "weights, optimizer, random state",
        frozenset({"resume"}),
        "It keeps the optimizer, the schedule and the random state beside the weights.",
        "02_training_checkpoints",
    ),
    Format(
        "safetensors",
        "weights, text",
        frozenset({"strangers"}),
        "Tensors and text only: there is no pickle in it that could run code.",
        "01_state_dicts",
    ),
    Format(
        "torch.export (.pt2)",
        "weights, computation",
        frozenset({"no_class"}),
        "It carries the computation itself, so your Python class is not needed.",
        "03_safe_loading",
    ),
    Format(
        "ONNX (.onnx)",
        "weights, graph",
        frozenset({"elsewhere", "no_class", "strangers"}),
        "A graph of standard operators that other runtimes read, with no pickle in it.",
        "06_onnx",
    ),
)


def choose(
    resume: bool, elsewhere: bool, no_class: bool, strangers: bool
) -> tuple[Format, ...]:
    """Return the plainest format that fits, or two where no single one does.

    Only a checkpoint can resume, and it answers nothing else: whoever wants to go on
    training and to give the model away keeps a checkpoint and gives away another file.
    """
    flags = (resume, elsewhere, no_class, strangers)
    needs = {name for name, flag in zip(QUESTIONS, flags, strict=True) if flag}
    fitting = [some for some in FORMATS if needs <= some.answers]
    if fitting:
        return (fitting[0],)
    rest = needs - {"resume"}
    return FORMATS[1], next(some for some in FORMATS if rest <= some.answers)


def draw(**answers: bool) -> Chart:
    """Draw the table of formats and questions, with the chosen rows marked."""
    chosen = choose(**answers)
    parts = [label(KEEPS, 64, "keeps", size=12)]
    for name, heading, x in zip(QUESTIONS, HEADINGS, COLUMNS, strict=True):
        for k, word in enumerate(heading):
            parts.append(label(x, 48 + 16 * k, word, "middle", 12))
        if answers[name]:
            parts.append(
                f'<rect x="{x - 24}" y="69" width="48" height="3" fill="{COLOURS[0]}"/>'
            )
    for row, some in enumerate(FORMATS):
        y = 96 + 30 * row
        if some in chosen:
            box = f'<rect x="6" y="{y - 20}" width="{WIDTH - 12}" height="28" rx="5" '
            parts.append(box + f'fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>')
        parts.append(label(14, y, ("▶ " if some in chosen else "") + some.name))
        parts.append(label(KEEPS, y, some.keeps, size=12))
        for name, x in zip(QUESTIONS, COLUMNS, strict=True):
            answer = "yes" if name in some.answers else "–"
            parts.append(label(x, y, answer, "middle"))
    if len(chosen) == 1:
        text = f"Take: {chosen[0].name}. {chosen[0].reason}"
    else:
        keep, give = chosen
        text = (
            f"No single format does all of that. Keep a {keep.name.lower()} for yourself: "
            f"{keep.reason[0].lower()}{keep.reason[1:]} "
            f"Give away: {give.name}. {give.reason}"
        )
    links = tuple(_link(some) for some in chosen)
    return replace(picture("Which format answers what", 232, parts, text), links=links)


def format_chooser() -> Panel:
    """Return the panel: four boxes to tick, all sixteen answers held in the browser."""
    boxes = [Check(name, question) for name, question in QUESTIONS.items()]
    return Panel("Which format do I need?", boxes, draw, ahead=True)


def answers_table() -> pandas.DataFrame:
    """Return what to take for each question alone and for two pairs, as a table."""
    cases = {"None of these": (), **{said: (name,) for name, said in QUESTIONS.items()}}
    cases["I will go on training, and give it away"] = ("resume", "strangers")
    cases["Strangers will open it, without my class"] = ("strangers", "no_class")
    takes = {
        said: " + ".join(some.name for some in choose(**{n: n in case for n in QUESTIONS}))
        for said, case in cases.items()
    }
    return pandas.DataFrame({"Take": takes.values()}, index=takes.keys())


def _link(some: Format) -> tuple[str, str]:
    name = f"{some.name}: notebook {some.notebook[:2]}"
    return name, f"notebooks/{some.notebook}.ipynb"
