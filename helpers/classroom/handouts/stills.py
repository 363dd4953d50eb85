"""A saved notebook as a page: pictures in place of widgets, which need the network there.

`jupyter nbconvert` finds this by jupyter_files/config/jupyter_nbconvert_config.py, and
JupyterLab's menu *Save and Export Notebook As* by the server extension in reopening.py.
"""

from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode

from helpers.classroom.handouts.panels import with_figures
from helpers.classroom.setup.reopening import is_of_the_course, reopenable


class Stills(Preprocessor):
    """In the course's notebooks, show each widget as its picture and its words."""

    def preprocess(
        self, notebook: NotebookNode, resources: dict
    ) -> tuple[NotebookNode, dict]:
        """Return the notebook without its widgets; others' notebooks as they are."""
        if is_of_the_course(notebook):
            notebook.metadata.pop("widgets", None)
            notebook = with_figures(reopenable(notebook, {}), {})
        return notebook, resources
