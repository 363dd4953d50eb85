"""The rules that every notebook keeps, as plain functions.

Each takes a notebook and its path, and returns the faults as sentences: none where the
rule is kept. The path gives the number and the neighbours.
"""

from tests.notebook_rules.anatomy import headings, predict_and_read, recap, set_up, title
from tests.notebook_rules.course_map import course_map, readme_map
from tests.notebook_rules.exercises_and_pictures import exercises, panels, pictures
from tests.notebook_rules.names import names
from tests.notebook_rules.numbers_and_links import links, numbers
from tests.notebook_rules.outputs import (
    comparison,
    execution,
    figures,
    normalised,
    portable,
)
from tests.notebook_rules.reading import FOLDER, NOTEBOOKS, ROOT, read
from tests.notebook_rules.source import calls, cells, no_second_copy

RULES = (
    title,
    headings,
    set_up,
    predict_and_read,
    recap,
    numbers,
    links,
    exercises,
    pictures,
    panels,
    cells,
    calls,
    no_second_copy,
    names,
    portable,
    execution,
    comparison,
    figures,
    normalised,
    course_map,
)

__all__ = [
    "FOLDER",
    "NOTEBOOKS",
    "ROOT",
    "RULES",
    "read",
    "readme_map",
    *(rule.__name__ for rule in RULES),
]
