"""The panels as a learner meets them: what they show is computed again by hand."""

import io
import math
import re

import pytest
import torch
from playwright.sync_api import expect

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import DigitsNet, load_reference_model
from helpers.quantization import Scheme, quantizable_layers, quantize_model
from helpers.training import accuracy
from tests import browser as lab
from tests.browser import PANEL, test_reopening
from tests.browser.next_day import LOST

# A notebook of our own, with panels that the course's notebooks do not have.
OURS = [
    """
import time
from helpers.classroom.charts import bars
from helpers.classroom.panel import Choice, Panel, Range
""",
    # Python draws each move, more slowly than keys can be pressed.
    """
pause = 0.2

def draw_slowly(bits):
    time.sleep(pause)
    return bars("Slow", ["bits"], {"": [bits]}, text=f"drawn for {bits}")

slow = Panel("Slow", [Range("bits", "Bits", 2, 16, 4)], draw_slowly)
slow
""",
    # One of the moves cannot be drawn.
    """
def draw(bits):
    if bits == 3:
        raise ValueError("three is refused")
    return bars("Raises", ["bits"], {"": [bits]}, text=f"drawn for {bits}")

Panel("Raises", [Range("bits", "Bits", 2, 16, 2)], draw)
""",
    # A button that notes what the slider stands on.
    """
found = []

def draw(n):
    return bars("Counts", ["n"], {"": [n]}, text=f"counted {found}")

def count():
    found.append(counts.values["n"])

counts = Panel("Counts", [Range("n", "N", 0, 9, 4)], draw, buttons={"Count": count})
counts
""",
    # Two panels with a choice of the same name and options.
    """
def panel(title):
    def draw(size):
        return bars(title, ["letters"], {"": [len(size)]}, text=f"{title}: {size}")
    return Panel(title, [Choice("size", "Size", ("small", "big"), "small")], draw)
""",
    'panel("Upper")',
    'panel("Lower")',
]


@pytest.fixture(scope="module")
def executed(jupyter):
    """A function from a notebook's name to a page on which all its cells have run."""
    pages = {}

    def run(name):
        if name == "ours":
            pages[name] = jupyter.own(f"{name}.ipynb", OURS)
        elif name not in pages:
            pages[name], _ = jupyter.executed(f"{name}.ipynb")
            # Other tests have pressed everything that is on it.
            for index in lab.cells(pages[name], PANEL):
                lab.run_cell(pages[name], index)
        return pages[name]

    yield run
    for name in pages:
        if f"{name}.ipynb" not in test_reopening.NAMES:  # whose tests take them over
            jupyter.close(f"{name}.ipynb")


def by_hand(row, bits):
    """The first slider's words, computed again without the helpers."""
    levels = 2**bits - 1
    step = row.abs().max() / (2 ** (bits - 1) - 1)
    errors = (row - torch.round(row / step) * step).abs()
    return (
        f"With {bits} bits there are {levels} levels, {step:.4f} apart. "
        f"Weight {errors.argmax() + 1} has the largest error, {errors.max():.4f}; "
        f"half a step is {step / 2:.4f}."
    )


def slider(page, title=None):
    """Return a panel's slider, with the focus, and the panel; the page's first of all."""
    where = f"{PANEL}[aria-label='{title}']" if title else PANEL
    lab.show(page, f"{where} input[type=range]")
    panel = page.locator(where, has=page.locator("input[type=range]")).first
    handle = panel.locator(".sls-controls input[type=range]")
    handle.focus()
    return handle, panel


def answer_by_keyboard(page, panel, row):
    """Guess how much larger the error is with 2 bits, and see it beside the truth."""
    words, circles = panel.locator(".words"), panel.locator("circle")
    page.keyboard.press("Home")
    # A ring for each weight, and the legend; no dot, and no error in the words.
    expect(circles).to_have_count(len(row) + 2)
    expect(words).to_have_text(re.compile(r"^With 2 bits there are 3 levels, .* apart\.$"))
    page.keyboard.press("Tab")
    expect(panel.get_by_role("slider", name="My guess")).to_be_focused()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(panel.locator(".guess-line text")).to_have_text("my guess 2.0×")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    two, three = (by_hand(row, bits).split("largest error, ")[1] for bits in (2, 3))
    times = float(two.partition(";")[0]) / float(three.partition(";")[0])
    expect(words).to_have_text(f"You said 2.0×, it is {times:.1f}×. {by_hand(row, 2)}")
    expect(panel.locator(".guess-line text")).to_have_text("my guess 2.0×")
    expect(panel.get_by_role("button", name="Guess again")).to_be_focused()
    page.keyboard.press("Space")
    expect(circles).to_have_count(len(row) + 2)
    page.keyboard.press("Space")
    expect(words).to_contain_text("You said 2.0×")


def test_the_first_slider_shows_what_an_independent_computation_gives(executed):
    page = executed("00_start_here")
    row = load_reference_model().blocks[0][3].weight[0].detach().flatten()
    handle, panel = slider(page)
    answer_by_keyboard(page, panel, row)
    handle.focus()
    seen = set()
    for key, presses, bits in (("Home", 1, 2), ("ArrowRight", 3, 5), ("End", 1, 8)):
        for _ in range(presses):
            page.keyboard.press(key)
        expect(handle).to_have_value(str(bits))
        expect(panel.locator(".sls-controls output")).to_have_text(str(bits))
        expect(panel.locator(".words")).to_contain_text(by_hand(row, bits))
        # A ring and a dot for each of the weights, and two in the legend.
        expect(panel.locator("circle")).to_have_count(2 * len(row) + 2)
        seen.add(panel.locator("svg").inner_html())
    assert len(seen) == 3


def named(page, title):
    """Bring a panel onto the page by its title and return it."""
    lab.show(page, f"{PANEL}[aria-label='{title}']")
    return page.locator(f"{PANEL}[aria-label='{title}']")


def test_the_size_of_a_file_is_that_of_a_file_saved_here(executed):
    page = executed("01_state_dicts")
    panel = named(page, "What is in the file?")
    panel.get_by_role("slider").focus()
    for keys, width in ((["Home"], 1), (["ArrowRight"] * 7, 8), (["End"], 32)):
        for key in keys:
            page.keyboard.press(key)
        state_dict = DigitsNet(width).state_dict()
        numbers = sum(t.numel() * t.element_size() for t in state_dict.values())
        file = io.BytesIO()
        torch.save(state_dict, file)
        rest = len(file.getvalue()) - numbers
        expect(panel.locator(".words")).to_have_text(
            f"Width {width}: {numbers / 1000:.1f} kB of numbers and {rest / 1000:.1f} kB "
            f"of bookkeeping in a .pt file. {rest / (numbers + rest):.0%} of the file is "
            "bookkeeping."
        )


def rounded_by_hand(value, bits):
    """The number line's words: symmetric, for values up to 2."""
    top = 2 ** (bits - 1) - 1
    before = round(value / (2 / top))
    integer = max(-top, min(top, before))
    back = integer * 2 / top
    clipped = "" if before == integer else f", clipped to {integer}"
    beyond = ", beyond the last level" if abs(value) > 2 else ""
    return (
        f"q = round({value:.2f} / {2 / top:.4f}) = {before}{clipped}. Back: {integer} × "
        f"{2 / top:.4f} = {back:.4f}, error {abs(value - back):.4f}{beyond}."
    )


def guessed(panel, hidden, shown):
    """Guess where a panel still asks: it hides some words before, and shows some then."""
    button = panel.get_by_role("button", name="Show the answer")
    if button.count():
        assert hidden not in panel.text_content()
        button.click()
        expect(panel.locator(".result")).to_contain_text(shown)
    return panel


def number_line(page):
    """The panel, after a guess."""
    panel = named(page, "The number line")
    return guessed(panel, "q =", "You said 0.00, it is -2.00. q = round(0.80 / 0.6667) = 1")


def said(value, bits):
    """The words of the panel; a guess was made with 3 bits, and belongs to them."""
    guess = "You said 0.00, it is -2.00. " if bits == 3 else ""
    return guess + rounded_by_hand(value, bits)


def test_the_number_line_computes_what_a_pocket_calculator_does(executed):
    page = executed("08_quantization")
    panel = number_line(page)
    for key, bits in (("Home", 2), ("ArrowRight", 3), ("End", 8)):
        panel.get_by_role("slider", name="Bits").focus()
        page.keyboard.press(key)
        for key, value in (("Home", -2.2), ("ArrowRight", -2.1), ("End", 2.2)):
            panel.get_by_role("slider", name="Value", exact=True).focus()
            page.keyboard.press(key)
            expect(panel.locator(".words")).to_have_text(said(value, bits))


def place_of(panel, x, handle):
    """Where on the page an x of the picture lies, at the height of a handle's grip."""
    box = panel.locator(".handles").bounding_box()
    grip = handle.locator(".grip").bounding_box()
    return box["x"] + x / 600 * box["width"], grip["y"] + grip["height"] / 2


def test_a_value_is_dragged_on_the_picture_by_mouse_finger_and_key(executed):
    page = executed("08_quantization")
    panel = number_line(page)
    slider = panel.get_by_role("slider", name="Value", exact=True)
    handle = panel.get_by_role("slider", name="Value, on the picture")
    panel.get_by_role("slider", name="Bits").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    handle.scroll_into_view_if_needed()

    def shows(value):
        expect(panel.locator(".words")).to_have_text(said(value, 3))
        expect(slider).to_have_value(str(round(100 * value)))
        expect(handle).to_have_attribute("aria-valuetext", f"{value:.2f}")
        grip = handle.locator(".grip").bounding_box()
        x, _ = place_of(panel, 300 + 108 * value, handle)
        assert abs(grip["x"] + grip["width"] / 2 - x) < 1

    def place(value):
        return place_of(panel, 300 + 108 * value, handle)

    page.mouse.move(*place(0))
    page.mouse.down()
    shows(0)
    for value in (1.1, -2.2, -0.7):  # each step draws the picture anew
        page.mouse.move(*place(value), steps=5)
        shows(value)
    page.mouse.up()
    page.mouse.move(*place(2))
    shows(-0.7)
    expect(handle).to_be_focused()

    touch = page.context.new_cdp_session(page)
    for kind, points in (("Start", [0.4]), ("Move", [0.9]), ("Move", [1.3]), ("End", [])):
        where = [dict(zip("xy", place(value), strict=True)) for value in points]
        event = {"type": f"touch{kind}", "touchPoints": where}
        touch.send("Input.dispatchTouchEvent", event)
        shows(points[0] if points else 1.3)
    touch.detach()

    handle.focus()
    for key, value in (("ArrowLeft", 1.2), ("Home", -2.2), ("End", 2.2), ("PageDown", 1.8)):
        page.keyboard.press(key)
        shows(value)
        expect(handle).to_be_focused()


E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def uneven_by_hand(value):
    """The panel's words for fp4 e2m1, for values up to 2."""
    scale = 2 / 6
    level = min(E2M1, key=lambda each: abs(each - abs(value) / scale)) * (value > 0 or -1)
    even = round(max(-7, min(7, value * 7 / 2))) * 2 / 7
    beyond = ", beyond the last level" if abs(value) > 2 else ""
    error, other = abs(value - level * scale), abs(value - even)
    return (
        f"{value:.2f} / 0.3333 = {value / scale:.5g}, nearest level {level:.5g}. Back: "
        f"{level:.5g} × 0.3333 = {level * scale:.4f}, error {error:.4f}{beyond}; int4's "
        f"error is {other:.4f}. Levels between -0.50 and 0.50: 7 of 15 with fp4 e2m1, 3 of "
        "15 with int4."
    )


def test_another_format_has_its_own_levels_and_its_own_question(executed):
    page = executed("08_quantization")
    panel = named(page, "Uneven levels")
    guessed(panel, "nearest level", "You said 1.00, it is 1.33. 0.80 / 0.3333 = 2.4")
    words, slider = panel.locator(".words"), panel.get_by_role("slider", name="Value")
    for key, value in (("Home", -2.2), ("ArrowRight", -2.0), ("End", 2.2)):
        slider.first.focus()
        page.keyboard.press(key)
        expect(words).to_have_text("You said 1.00, it is 1.33. " + uneven_by_hand(value))
    nearest = {"NF4": "1", "fp8 e4m3": "448", "fp8 e5m2": "57344", "fp4 e2m1": "6"}
    for name, level in nearest.items():
        panel.get_by_role("radio", name=name).check()
        expect(words).to_contain_text(f", nearest level {level}. Back: {level} × ")
        expect(words).to_contain_text(f" with {name}, 3 of 15 with int4")
        expect(panel.locator(".picture svg")).to_contain_text(f"{name} beside int4")
        # A guess belongs to its question: each format has its own.
        said = "You said 1.00, it is 1.33." in words.text_content()
        assert said == (name == "fp4 e2m1")
        bar = panel.locator('.picture svg path[stroke-width="14"]')
        expect(bar).to_have_count(int(name.startswith("fp8")))
    panel.get_by_role("radio", name="blocks.2.0").check()
    expect(words).to_contain_text("SQNR of the 432 weights: ")
    handle = panel.get_by_role("slider", name="Value, on the picture")
    handle.focus()
    page.keyboard.press("Home")
    expect(words).to_contain_text("-2.20 / ")
    expect(slider.first).to_have_value("-220")


def weights_by_hand():
    """The weights of blocks.1.0, with the batch norm folded in."""
    block = load_reference_model().blocks[1]
    convolution, norm = block[0], block[1]
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return (convolution.weight * gain.reshape(-1, 1, 1, 1)).detach().double()


def layer_view(page):
    """The panel, after a guess."""
    panel = named(page, "A layer's weights".replace("'", "\\'"))
    return guessed(panel, "SQNR", "You said 80%, it is 40%.")


def test_the_layer_view_shows_the_decibels_of_an_independent_computation(executed):
    page = executed("08_quantization")
    panel = layer_view(page)
    weight = weights_by_hand()
    panel.get_by_role("slider", name="Bits").focus()
    for key, bits in (("Home", 2), ("ArrowRight", 3), ("End", 8)):
        page.keyboard.press(key)
        step = weight.abs().max() / (2 ** (bits - 1) - 1)
        error = weight - torch.round(weight / step) * step
        decibels = 10 * torch.log10(weight.square().sum() / error.square().sum())
        expect(panel.locator(".words")).to_contain_text(
            f"blocks.1.0: 432 weights at {bits} bits per tensor, minmax. "
            f"SQNR {decibels:.1f} dB."
        )


def test_the_clip_threshold_is_dragged_and_the_error_is_split(executed):
    page = executed("08_quantization")
    panel = layer_view(page)
    panel.get_by_role("slider", name="Bits").focus()
    page.keyboard.press("Home")
    panel.get_by_role("radio", name="mse").check()
    expect(panel.locator(".words")).to_contain_text("2 bits per tensor, mse.")
    handle = panel.get_by_role("slider", name="on the picture")
    weight = weights_by_hand()

    def shows(percent):
        end = weight.abs().max() * percent / 100
        error = (weight - torch.round(weight / end).clamp(-1, 1) * end).square()
        beyond = weight.abs() > end
        parts = [error[some].sum().item() / 432 for some in (~beyond, beyond)]
        expect(panel.locator(".words")).to_contain_text(
            f"Mean squared error {sum(parts):.3g}: rounding {parts[0]:.3g}, clipping "
            f"{parts[1]:.3g} at {percent}% of the largest weight."
        )
        expect(panel.get_by_role("radio", name="by hand")).to_be_checked()
        expect(panel.locator(".picture[aria-busy]")).to_have_count(0)
        expect(handle).to_have_attribute("aria-valuetext", str(percent))

    # The grip stands where the observer has put the threshold, to begin with.
    share = re.search(r"at (\d+)% of", panel.locator(".words").text_content())[1]
    expect(handle).to_have_attribute("aria-valuetext", share)
    handle.scroll_into_view_if_needed()
    page.mouse.move(*place_of(panel, 300 + 2.7 * int(share), handle))
    page.mouse.down()
    page.mouse.move(*place_of(panel, 300 + 2.7 * 50, handle), steps=4)
    page.mouse.up()
    shows(50)
    handle.focus()
    page.keyboard.press("ArrowLeft")
    shows(49)
    panel.get_by_role("radio", name="minmax").check()
    expect(panel.locator(".words")).to_contain_text("2 bits per tensor, minmax.")


def layers_by_hand(model):
    """(name, layer, weight and bias with the batch norm folded in) of a DigitsNet."""
    pairs = [("stem.0", model.stem[0], model.stem[1])]
    for b, block in enumerate(model.blocks):
        pairs += [(f"blocks.{b}.{k}", block[k], block[k + 1]) for k in (0, 3)]
    for name, layer, norm in pairs:
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = layer.weight * gain.reshape(-1, 1, 1, 1)
        yield name, layer, weight, norm.bias - norm.running_mean * gain
    yield "head", model.head, model.head.weight, model.head.bias


@torch.no_grad()
def trade_off_by_hand(bits, per_channel=False, symmetric=True, kept=(), digits=None):
    """Accuracy, bytes and decibels of weights rounded by min-max, without the helpers."""
    values, size, decibels = digits.test_images, 0, []
    for name, layer, weight, bias in layers_by_hand(load_reference_model()):
        rows = weight.reshape(len(weight) if per_channel else 1, -1)
        low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
        low, high = low.clamp(max=0), high.clamp(min=0)
        if symmetric:
            top, shift = 2 ** (bits - 1) - 1, 0
            step, bottom = torch.maximum(-low, high) / top, -top
        else:
            top, bottom = 2**bits - 1, 0
            step = (high - low) / top
            shift = torch.round(-low / step)
        whole = (torch.round(rows / step) + shift).clamp(bottom, top)
        rounded = ((whole - shift) * step).reshape(weight.shape)
        size += 4 * len(bias)
        if name in kept:
            rounded, size = weight, size + 4 * weight.numel()
            decibels.append(f"{name} exact")
        else:
            points = 0 if symmetric else len(rows)  # of as many bits as the integers
            size += math.ceil(weight.numel() * bits / 8) + 4 * len(rows)
            size += math.ceil(points * bits / 8)
            noise = (weight.double() - rounded.double()).square().sum()
            ratio = 10 * torch.log10(weight.double().square().sum() / noise)
            decibels.append(f"{name} {ratio:.1f}")
        if name == "head":
            values = values.mean(dim=(2, 3)) @ rounded.T + bias
        else:
            how = {k: getattr(layer, k) for k in ("stride", "padding", "groups")}
            values = torch.relu(torch.nn.functional.conv2d(values, rounded, bias, **how))
    right = (values.argmax(1) == digits.test_labels).double().mean().item()
    return right, size, ", ".join(decibels)


def test_the_trade_off_explorer_shows_what_an_independent_computation_gives(executed):
    page = executed("09_trade_offs")
    panel, digits = named(page, "Quantization trade-offs"), load_digits()
    words = panel.locator(".words")
    panel.get_by_role("button", name="Start again").click()
    expect(words).to_contain_text("Predict first.")
    panel.get_by_role("slider", name="My guess").focus()
    page.keyboard.press("Home")
    panel.get_by_role("button", name="Show the answer").click()
    expect(words).to_contain_text("You guessed 0%, it is ")
    for keys, clicks, setting in (
        (["Home", "ArrowRight"], [], {"bits": 3}),
        (["ArrowRight"], ["Symmetric"], {"bits": 4, "symmetric": False}),
        (
            ["Home"],
            ["channel", "head"],
            {"bits": 2, "symmetric": False, "per_channel": True, "kept": ["head"]},
        ),
    ):
        panel.get_by_role("slider", name="Weight bits").focus()
        for key in keys:
            page.keyboard.press(key)
        for label in clicks:
            panel.get_by_label(label, exact=True).click()
        right, size, decibels = trade_off_by_hand(**setting, digits=digits)
        expect(words).to_contain_text(f"{right:.1%} of 719 images are right")
        expect(words).to_contain_text(f" {size:,} bytes, ")
        expect(words).to_contain_text(f"SQNR of the weights in dB: {decibels}.")
    panel.get_by_role("button", name="Pin this setting").click()
    expect(panel.locator("tbody tr")).to_have_count(1)
    expect(panel.locator("tbody tr")).to_contain_text(f"{size:,}")
    panel.get_by_text("As code").click()
    panel.get_by_role("button", name="Copy the code").click()
    expect(panel.get_by_role("button", name=re.compile("Copied|Selected"))).to_be_visible()
    panel.get_by_role("button", name="Start again").click()
    expect(words).to_contain_text("Predict first.")
    expect(panel.locator("tbody tr")).to_have_count(0)
    expect(panel.get_by_role("checkbox", name="head")).not_to_be_checked()


def test_one_layers_bits_are_moved_and_the_game_is_judged_once(executed):
    page = executed("09_trade_offs")
    panel, digits = named(page, "Quantization trade-offs"), load_digits()
    words, rows = panel.locator(".words"), panel.locator("tbody tr")
    panel.get_by_role("button", name="Start again").click()
    panel.get_by_role("button", name="Play: fit 10,000 bytes").click()
    expect(words).to_contain_text("of 360 images are right")
    own = panel.get_by_role("slider", name="Bits of head", exact=True)
    expect(own).to_have_count(0)  # folded away
    panel.get_by_text("Bits of single layers").click()
    own.press("ArrowRight")
    expect(own).to_have_attribute("aria-valuetext", "2")
    expect(panel.get_by_text("Bits of single layers: 1 set")).to_be_visible()
    expect(words).to_contain_text("per tensor, but 2 bits in head;")
    judge = panel.get_by_role("button", name="Judge the winner")
    expect(judge).to_have_attribute("aria-disabled", "true")
    panel.get_by_role("button", name="Enter this setting").click()
    expect(rows).to_have_count(1)
    expect(words).not_to_contain_text("last 359: ")
    judge.click()
    model = load_reference_model()
    weights = dict.fromkeys(quantizable_layers(model), Scheme(3)) | {"head": Scheme(2)}
    right = accuracy(quantize_model(model, weights), *digits.judging)
    expect(words).to_contain_text(f"Entry 1, judged on the last 359: {right:.1%} (")
    expect(rows).to_contain_text(f"on the last 359: {right:.1%} (")
    expect(judge).to_have_attribute("aria-disabled", "true")
    panel.get_by_role("button", name="Start again").click()
    expect(words).to_contain_text("Predict first.")
    expect(own).to_have_attribute("aria-valuetext", "as above")


def test_the_explorers_live_sentence_is_short_and_the_rest_waits(executed):
    page = executed("09_trade_offs")
    panel = named(page, "Quantization trade-offs")
    panel.get_by_role("button", name="Show the answer").click()
    panel.get_by_role("slider", name="Weight bits").press("End")
    live = panel.locator("p[aria-live=polite]")
    expect(live).to_have_text("98.9% right, 0 changed, 83,752 bytes.")
    expect(panel.locator(".words")).to_be_hidden()
    panel.get_by_text("In words").click()
    expect(panel.locator(".words")).to_contain_text("98.9% of 719 images are right")
    expect(panel.locator(".words")).not_to_have_attribute("aria-live", "polite")


def test_after_a_fast_drag_the_last_setting_is_shown_and_nothing_is_left(executed):
    page = executed("09_trade_offs")
    panel = named(page, "Quantization trade-offs")
    handle = panel.get_by_role("slider", name="Weight bits")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, middle)
    page.mouse.down()
    for share in (1, 0, 0.5):
        page.mouse.move(box["x"] + 8 + share * (box["width"] - 16), middle, steps=20)
    page.mouse.up()
    bits = handle.get_attribute("aria-valuetext")
    expect(panel.locator(".picture[aria-busy]")).to_have_count(0)
    expect(panel.locator(".words")).to_contain_text(f"Weights: {bits} bits")
    lab.execute(page, "")  # an older picture that is still on its way arrives before this
    expect(panel.locator(".words")).to_contain_text(f"Weights: {bits} bits")


def test_a_press_while_the_kernel_is_busy_takes_the_setting_that_was_seen(executed):
    page = executed("ours")
    _, panel = slider(page, "Counts")
    expect(panel.locator(".words")).to_have_text("counted []")
    lab.keep_busy(page, 600)
    try:
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        panel.get_by_role("button", name="Count").click()
    finally:
        lab.wake(page)
    expect(panel.locator(".words")).to_have_text("counted [9]")


def test_keys_for_the_slider_do_not_reach_jupyterlab(executed):
    page = executed("00_start_here")
    cells = "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    handle, _ = slider(page)
    before = page.evaluate(cells), page.evaluate(active)
    for key in ("a", "b", "j", "k", "ArrowDown", "ArrowUp", "d", "d"):
        page.keyboard.press(key)
    assert (page.evaluate(cells), page.evaluate(active)) == before
    expect(handle).to_be_focused()


@pytest.mark.parametrize(
    ("id", "role", "key"), [("quiz", "button", "Space"), ("slider", "slider", "ArrowRight")]
)
def test_keys_alone_lead_from_a_cell_to_its_control(executed, id, role, key):
    page = executed("00_start_here")
    content = "window.jupyterapp.shell.currentWidget.content"
    index, cell = lab.cell_named(page, id)
    shown = cell.locator(".jp-OutputArea-output")
    count = f"() => {content}.widgets[{index}].model.executionCount"
    before = page.evaluate(count)

    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    page.wait_for_function(f"() => {content}.activeCellIndex === {index + 1}")
    page.wait_for_function(f"() => (({count})() ?? 0) > {before}")
    expect(shown.get_by_role(role).first).to_be_visible()
    page.keyboard.press("ArrowUp")
    page.wait_for_function(f"() => {content}.activeCellIndex === {index}")
    for _ in range(4):
        page.keyboard.press("Tab")
        if shown.locator(":focus").count():
            break
    expect(shown.get_by_role(role).first).to_be_focused()

    if role == "slider":
        value = int(shown.get_by_role(role).first.input_value())
        page.keyboard.press(key)
        expect(shown.get_by_role(role).first).to_have_value(str(value + 1))
        expect(shown.locator(".words")).to_contain_text(f"With {value + 1} bits")
    else:
        page.keyboard.press(key)
        said = shown.get_by_role("status").first
        expect(said).to_have_text(re.compile(r"(Right|Not quite)\."))


def test_the_slider_answers_while_the_kernel_is_busy(executed):
    page = executed("00_start_here")
    _, panel = slider(page)
    page.keyboard.press("Home")
    expect(panel.locator(".words")).to_contain_text("With 2 bits")
    lab.keep_busy(page, 600)
    try:
        page.keyboard.press("ArrowRight")
        expect(panel.locator(".words")).to_contain_text("With 3 bits")
        assert lab.is_asleep(page)
    finally:
        lab.wake(page)


def test_a_cell_that_ends_while_python_draws_makes_nobody_say_that_python_is_gone(executed):
    page = executed("ours")
    _, panel = slider(page, "Slow")
    lab.execute(page, "pause = 1.5")
    panel.locator(".status").evaluate(
        """node => {
            window.saidInStatus = [];
            window.tops = new Set();
            const picture = node.closest(".sls-panel").querySelector(".picture");
            const note = () => {
                window.saidInStatus.push(node.textContent);
                const { top } = picture.getBoundingClientRect();
                window.tops.add(top);
            };
            note();
            new MutationObserver(note).observe(node, { childList: true });
        }"""
    )
    lab.keep_busy(page, 0.3)
    page.keyboard.press("End")
    expect(panel.locator(".words")).to_have_text("drawn for 16")
    assert "Python is at work" in (said := " ".join(page.evaluate("window.saidInStatus")))
    assert "does not answer" not in said
    assert page.evaluate("window.tops.size") == 1, "the picture has moved"
    lab.execute(page, "pause = 0.2; slow.values = {'bits': 4}")
    expect(panel.locator(".words")).to_have_text("drawn for 4")


def test_what_is_done_after_a_press_stays(executed):
    page = executed("ours")
    lab.execute(
        page,
        """
        def draw_counts_slowly(n):
            time.sleep(0.5)
            return bars("Counts", ["n"], {"": [n]}, text=f"counted {found}")
        found.clear()
        counts._draw = draw_counts_slowly
        counts.values = {"n": 2}
        """,
    )
    handle, panel = slider(page, "Counts")
    expect(handle).to_have_value("2")
    # The second step waits until the first is drawn, so the press overtakes it.
    for key in ("ArrowRight", "ArrowRight", "Tab", "Space", "Shift+Tab"):
        page.keyboard.press(key)
    for value in range(5, 9):
        page.keyboard.press("ArrowRight")
        expect(handle).to_have_value(str(value))
        page.wait_for_timeout(300)
        assert handle.input_value() == str(value), "set back"
    expect(panel.locator(".picture[aria-busy]")).to_have_count(0)
    expect(panel.locator(".words")).to_have_text("counted [4]")
    assert lab.execute(page, "print(counts.values)").strip() == "{'n': 8}"


def test_when_python_draws_the_last_value_wins(executed):
    page = executed("ours")
    handle, panel = slider(page, "Slow")
    words, picture = panel.locator(".words"), panel.locator(".picture")
    expect(words).to_have_text("drawn for 4")
    picture.evaluate(
        """node => {
            const note = () => { window.wasBehind ||= node.hasAttribute("aria-busy"); };
            new MutationObserver(note).observe(node, { attributes: true });
        }"""
    )
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    expect(words).to_have_text("drawn for 11")
    # The picture said that it was behind until it was not.
    assert page.evaluate("() => window.wasBehind")
    expect(panel.locator(".picture[aria-busy]")).to_have_count(0)
    lab.execute(page, "")  # an older picture that is still on its way arrives before this
    assert words.inner_text() == "drawn for 11"
    # Setting the value from Python moves the control.
    lab.execute(page, "slow.values = {'bits': 6}")
    expect(words).to_have_text("drawn for 6")
    expect(handle).to_have_value("6")


def test_a_draw_that_raises_is_told_in_the_panel_and_the_next_move_works(executed):
    page = executed("ours")
    _, panel = slider(page, "Raises")
    words = panel.locator(".words")
    expect(words).to_have_text("drawn for 2")
    page.keyboard.press("ArrowRight")
    expect(words).to_have_text("No picture for this setting. ValueError: three is refused")
    expect(panel.locator(".picture[aria-busy]")).to_have_count(0)
    page.keyboard.press("ArrowRight")
    expect(words).to_have_text("drawn for 4")


def test_the_choices_of_two_panels_are_independent(executed):
    page = executed("ours")
    lab.show(page, f"{PANEL}[aria-label='Lower']")
    upper, lower = (page.get_by_role("region", name=name) for name in ("Upper", "Lower"))
    lower.get_by_role("radio", name="big").check()
    expect(lower.locator(".words")).to_have_text("Lower: big")
    expect(upper.get_by_role("radio", name="small")).to_be_checked()
    upper.get_by_role("radio", name="small").focus()
    page.keyboard.press("ArrowDown")
    expect(upper.locator(".words")).to_have_text("Upper: big")
    expect(lower.get_by_role("radio", name="big")).to_be_checked()
    page.keyboard.press("ArrowUp")
    expect(upper.locator(".words")).to_have_text("Upper: small")
    expect(lower.get_by_role("radio", name="big")).to_be_checked()


def test_the_format_chooser_opens_the_notebook_that_it_names(executed):
    page = executed("00_start_here")
    lab.show(page, f"{PANEL} .links a")
    for box in page.locator(f"{PANEL} input[type=checkbox]").all():
        box.uncheck()
    page.locator(f"{PANEL} .links a", has_text="notebook 01").first.click()
    path = "window.jupyterapp.shell.currentWidget.context.path"
    page.wait_for_function(f"() => {path} === 'notebooks/01_state_dicts.ipynb'")
    # To close it could ask whether to save; other tests need the page as it was.
    page.evaluate(
        """async () => {
            const opened = window.jupyterapp.shell.currentWidget;
            await opened.context.ready;
            opened.dispose();
        }"""
    )
    page.wait_for_function(f"() => {path} === 'notebooks/00_start_here.ipynb'")


def test_a_solution_is_closed_and_opens(executed):
    page = executed("01_state_dicts")
    lab.show(page, ".jp-InputPlaceholder")
    closed = page.locator(".jp-InputPlaceholder", has_text="# Solution 01.1")
    assert not page.get_by_text("def solution_1").is_visible()
    closed.click()
    page.get_by_text("def solution_1").wait_for()
    lab.keep_screen(page, "solution_open.png")


@pytest.mark.parametrize("width", [1280, 480])
def test_nothing_below_a_panel_moves_while_a_slider_does(executed, width):
    page = executed("00_start_here")
    lab.resize(page, width)
    try:
        _, panel = slider(page)
        heights = set()
        for key in ["Home"] + 6 * ["ArrowRight"]:
            page.keyboard.press(key)
            heights.add(panel.bounding_box()["height"])
        assert len(heights) == 1
    finally:
        lab.resize(page, 1280)


# The last one, since it takes the kernel away from the panels of our own.


def test_after_a_restart_a_press_and_a_move_say_that_python_is_gone(executed):
    page = executed("ours")
    context = "window.jupyterapp.shell.currentWidget.sessionContext"
    page.evaluate(f"() => {context}.session.kernel.restart()")
    page.wait_for_function(lab.READY)
    for title in ("Slow", "Counts"):
        _, panel = slider(page, title)
        status = panel.locator(".status[role=status]")
        expect(status).to_have_text("")
        if title == "Slow":
            page.keyboard.press("ArrowRight")
            expect(panel.locator(".words")).to_have_attribute("aria-busy", "true")
        else:
            panel.get_by_role("button", name="Count").click()
        expect(status).to_have_text(LOST, timeout=2000)
        above = status.bounding_box()["y"] < panel.locator(".picture").bounding_box()["y"]
        assert above
