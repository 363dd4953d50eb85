"""Ctrl-C at the k-th operation on tensors, or at the k-th line of some files."""

import sys

from torch.utils._python_dispatch import TorchDispatchMode


class FailsAt(TorchDispatchMode):
    """Counts the operations on tensors, and raises at the k-th."""

    def __init__(self, k=None):
        super().__init__()
        self.fails_at, self.count = k, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        if self.count - 1 == self.fails_at:
            raise KeyboardInterrupt
        return func(*args, **(kwargs or {}))


class InterruptAt:
    """Raise once, at the k-th line from now on in files that end as given."""

    def __init__(self, k: int, *files: str):
        self.left, self.files = k, files
        sys.settrace(self._called)
        frame = sys._getframe(1)
        while frame:  # those that are running already, such as the undo's own
            frame.f_trace = self._called(frame, "call", None)
            frame = frame.f_back

    def _called(self, frame, event, argument):
        is_one = frame.f_code.co_filename.endswith(self.files)
        return (
            self._line if is_one and frame.f_code.co_name != "unchanged_on_error" else None
        )

    def _line(self, frame, event, argument):
        if event == "line":
            self.left -= 1
            if self.left == -1:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._line
