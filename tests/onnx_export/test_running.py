"""Sessions of ONNX Runtime: their settings, and what they take."""

import pytest
import torch

from helpers.onnx_export import run, session


def test_the_number_of_inputs_and_settings_of_a_session_are_checked(reference):
    with pytest.raises(ValueError, match=r"expects input: tensor\(float\) .*; got .*, "):
        run(session(reference), (torch.zeros(1, 1, 8, 8), torch.zeros(1)))
    with pytest.raises(ValueError, match=r"got torch.float64 \[1, 1, 8, 8\]"):
        run(session(reference), torch.zeros(1, 1, 8, 8).double())
    with pytest.raises(ValueError, match="optimization is 'fast'; expected one of 'off', "):
        session(reference, optimization="fast")
    for threads in (0, "two"):
        with pytest.raises(ValueError, match=f"threads is {threads!r}; expected a whole"):
            session(reference, threads=threads)


@pytest.mark.parametrize("optimization", ["off", "basic", "all"])
def test_the_settings_of_a_session_reach_onnx_runtime(reference, optimization):
    found = session(reference, threads=2, optimization=optimization).get_session_options()
    assert found.intra_op_num_threads == 2
    wanted = {"off": "DISABLE_ALL", "basic": "ENABLE_BASIC", "all": "ENABLE_ALL"}
    assert found.graph_optimization_level.name == f"ORT_{wanted[optimization]}"


def test_what_numpy_and_lists_hold_is_no_input_and_bfloat16_is_no_type_of_the_file(
    reference,
):
    opened, images = session(reference), torch.zeros(3, 1, 8, 8)
    for given, kind in (
        (images.numpy(), "of type ndarray"),
        ([[1.0]], "of type list holding a list"),
    ):
        with pytest.raises(TypeError, match=f"inputs is {kind}; expected a tensor"):
            run(opened, given)
    with pytest.raises(ValueError, match=r"expects input: .*; got torch.bfloat16 \[3, 1"):
        run(opened, images.bfloat16())
