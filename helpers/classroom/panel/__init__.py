"""The one live panel: labelled controls, a picture, and the same in words.

`draw(**values)` is a plain function from the controls' values to a `Chart`. What can be
computed ahead is (`ahead=True`): the browser then holds every picture and shows each
within a frame, also while the kernel is busy or gone. Otherwise Python draws at each move.
A button calls a function in Python, and the picture is drawn anew. Where a panel has a
`Guess`, it covers the answer until the learner has said what it will be.
"""

from helpers.classroom.panel.controls import (
    Check,
    Choice,
    Control,
    Menu,
    Range,
    Sliders,
    Stops,
    Ticks,
)
from helpers.classroom.panel.frames import MOST_FRAMES
from helpers.classroom.panel.guess import Guess
from helpers.classroom.panel.live import SCRIPTS, Panel, script
from helpers.classroom.panel.text import Text

__all__ = [
    "MOST_FRAMES",
    "SCRIPTS",
    "Check",
    "Choice",
    "Control",
    "Guess",
    "Menu",
    "Panel",
    "Range",
    "Sliders",
    "Stops",
    "Text",
    "Ticks",
    "script",
]
