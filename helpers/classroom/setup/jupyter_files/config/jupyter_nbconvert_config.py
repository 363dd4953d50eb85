"""Pages that nbconvert makes of the course's notebooks show pictures: see stills.py."""

from importlib import import_module

try:
    import_module("helpers.classroom.handouts.stills")
except ImportError:
    pass  # another package is called `helpers` here, or the course is gone: not our affair
else:
    get_config().HTMLExporter.preprocessors.append(  # noqa: F821, nbconvert gives it
        "helpers.classroom.handouts.stills.Stills"
    )
