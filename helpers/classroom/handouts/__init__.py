"""What a teacher hands out: notebooks without and with solutions, pages, slides.

`python -m helpers handouts` writes them all to the folder `handouts`, from the notebooks
that are committed, which stay as they are.
"""

from helpers.classroom.handouts.pages import page
from helpers.classroom.handouts.panels import execute, held_panels
from helpers.classroom.handouts.slides import slides, with_slide_types
from helpers.classroom.handouts.versions import for_learners, for_readers, for_teachers

__all__ = [
    "execute",
    "for_learners",
    "for_readers",
    "for_teachers",
    "held_panels",
    "page",
    "slides",
    "with_slide_types",
]
