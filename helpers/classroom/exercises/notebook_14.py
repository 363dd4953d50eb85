"""The quiz of notebook 14, which has no exercises."""

EXERCISES = {}

QUIZZES = {
    "14.q1": (
        "A colleague on another machine will go on with your training. What do you send?",
        [
            (
                "the whole model",
                False,
                "It names your classes, a safe load refuses it, and the optimizer is not "
                "in it.",
            ),
            (
                "the state dict",
                False,
                "It is enough to predict. To go on, the optimizer's state, the schedule "
                "and the random number generators are missing.",
            ),
            (
                "a checkpoint",
                True,
                "It holds all of that in plain tensors and numbers, and opens with "
                "weights_only=True.",
            ),
            (
                "an ONNX file",
                False,
                "It runs without PyTorch, and cannot be trained further.",
            ),
        ],
    ),
}
