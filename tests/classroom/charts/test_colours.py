"""The charts' colours: readable on every paper, and apart for colour-blind eyes."""

import re
from itertools import combinations

import numpy as np
import pytest

from helpers.classroom.charts.drawing import COLOURS, DARK

# The papers of JupyterLab's light and dark themes: notebook, and cell or panel.
PAPERS = ("#fff", "#111", "#212121")
# Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color
# Vision Deficiency, 2009, severity 1, for linear RGB.
EYES = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Ottosson: A perceptual color space for image processing, 2020.
TO_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_OKLAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]
# About five times what is just seen side by side; marks stand apart, and are small.
CLEAR = 0.1


def linear(colour: str) -> np.ndarray:
    """A colour as linear RGB."""
    short = colour.removeprefix("#")
    pairs = [2 * c for c in short] if len(short) == 3 else re.findall("..", short)
    channels = np.array([int(pair, 16) / 255 for pair in pairs])
    steep = ((channels + 0.055) / 1.055) ** 2.4
    return np.where(channels <= 0.04045, channels / 12.92, steep)


def contrast(one: str, other: str) -> float:
    """As WCAG 2.2 defines it."""
    weights = (0.2126, 0.7152, 0.0722)
    light, dark = sorted([weights @ linear(one), weights @ linear(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def seen(colour: str, eyes: str) -> np.ndarray:
    """A colour in OKLab, as these eyes see it."""
    light = np.clip(np.array(EYES[eyes]) @ linear(colour), 0, 1)
    return np.array(TO_OKLAB) @ np.cbrt(np.array(TO_CONES) @ light)


def test_contrast_is_computed_as_wcag_does():
    assert contrast("#fff", "#000") == pytest.approx(21)
    assert contrast("#777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_distances_are_computed_as_oklab_does():
    assert seen("#fff", "normal") == pytest.approx([1, 0, 0], abs=1e-4)
    assert seen("#f00", "normal") == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)


def test_each_kind_of_eyes_confuses_what_it_is_known_to_confuse():
    def apart(one, other, eyes):
        return np.linalg.norm(seen(one, eyes) - seen(other, eyes))

    for eyes, one, other in (
        ("protanopia", "#8a4fa3", "#2f6fb7"),
        ("deuteranopia", "#8a4fa3", "#2f6fb7"),
        ("tritanopia", "#4b7f32", "#2f6fb7"),
    ):
        assert apart(one, other, eyes) < 0.06 < 0.13 < apart(one, other, "normal")


@pytest.mark.parametrize("paper", PAPERS)
def test_every_colour_stands_out_from_light_and_dark_paper(paper):
    for colour in COLOURS:
        assert contrast(colour, paper) >= 3, colour


@pytest.mark.parametrize("eyes", EYES)
def test_any_two_colours_are_apart(eyes):
    for one, other in combinations(dict.fromkeys(COLOURS), 2):
        apart = np.linalg.norm(seen(one, eyes) - seen(other, eyes))
        assert apart >= CLEAR, (one, other)


def test_texts_stand_out_from_the_pictures_own_paper():
    assert contrast("#222", "#fff") >= 7
    dark = dict(re.findall(r"\.(\w+) \{ \w+: (#\w+) \}", DARK))
    assert contrast(dark["ink"], dark["paper"]) >= 7
    assert contrast(dark["line"], dark["paper"]) >= 3


def test_white_is_read_on_the_first_colour():
    assert contrast("#fff", COLOURS[0]) >= 4.5
