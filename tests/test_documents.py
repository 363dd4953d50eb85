"""README, TEACHING and CITATION: what they say of other files is so."""

import re
import tomllib
from datetime import timedelta
from itertools import pairwise

import pytest
import yaml

from tests.make_pictures import FOLDER, PICTURES
from tests.notebook_rules import NOTEBOOKS, ROOT, read

DOCUMENTS = ("README.md", "TEACHING.md")
TEACHING = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
WHOLE = "the whole notebook"


def headings():
    """Return the number of each notebook -> its headings."""
    return {
        path.name[:2]: {
            heading
            for cell in read(path).cells
            if cell.cell_type == "markdown"
            for heading in re.findall(r"(?m)^##? (.+)$", cell.source)
        }
        for path in NOTEBOOKS
    }


def anchors(text):
    """Return what GitHub makes of a text's headings."""
    found = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", one).lower().replace(" ", "-") for one in found}


def rows(text):
    """Return the cells of each row of a text's tables, without their rulers."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if set(row[0]) != {"-"}]


def plans():
    """Return the title of each table of a plan -> its rows, without the headings."""
    found = {}
    for part in re.split(r"(?m)^##+ ", TEACHING):
        table = rows(part)
        if table and table[0][0] == "from":
            found[part.partition("\n")[0]] = table[1:]
    return found


PLANS = plans()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_and_heading_that_a_document_links_to_is_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        target = ROOT / (file or name)
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_pictures_are_those_that_the_script_takes_and_each_has_words():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text)
    assert {ROOT / path for _, path in shown} == {FOLDER / name for name in PICTURES}
    assert {path.name for path in FOLDER.iterdir()} == set(PICTURES)
    assert all(len(words.split()) > 10 for words, _ in shown)


def test_the_citation_has_the_version_and_licence_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Version {project['version']}, {citation['date-released'].year}." in readme


def test_there_are_plans_of_three_lengths():
    assert list(PLANS) == [
        "Plan for 90 minutes",
        "Plan for half a day",
        "Day one",
        "Day two",
    ]
    lasts = {
        title: sum(int(row[2]) + int(row[3]) for row in PLANS[title]) for title in PLANS
    }
    assert lasts["Plan for 90 minutes"] == 90
    assert lasts["Plan for half a day"] == 4 * 60
    assert 7 * 60 <= lasts["Day one"] <= lasts["Day two"] <= 8 * 60


@pytest.mark.parametrize("title", PLANS)
def test_each_row_of_a_plan_begins_when_the_one_before_has_ended(title):
    for before, after in pairwise(PLANS[title]):
        start, end = (
            timedelta(hours=int(hours), minutes=int(minutes))
            for hours, minutes in (row[0].split(":") for row in (before, after))
        )
        taken = timedelta(minutes=int(before[2]) + int(before[3]))
        assert end - start == taken, after


@pytest.mark.parametrize("title", PLANS)
def test_each_row_of_a_plan_names_a_section_that_there_is(title):
    known = headings()
    for _, place, you, they, say, ask in PLANS[title]:
        if place in ("break", "lunch"):
            assert int(they) >= 15
            assert not (int(you) or say or ask)
            continue
        number, section = place.split(", ", 1)
        assert section in {WHOLE, *known[number]}, place
        assert say, place


def test_two_days_have_every_notebook():
    taught = {row[1][:2] for day in ("Day one", "Day two") for row in PLANS[day]}
    assert headings().keys() <= taught


def test_the_minutes_of_each_notebook_add_up():
    parts = re.findall(
        r"(?ms)^## Notebooks? ([\d and]+) in (\d+) minutes$(.+?)(?=^## )", TEACHING
    )
    for numbers, minutes, text in parts:
        table = rows(text)[1:]
        assert sum(int(row[0]) for row in table) == int(minutes), numbers
        assert "What learners ask:" in text, numbers
        assert "Where they get stuck:" in text, numbers
    told = {number for numbers, *_ in parts for number in numbers.split(" and ")}
    assert told == headings().keys()
