"""The data is followed in one thread, and nothing is left behind in PyTorch."""

import threading
import time

import torch
from torch import nn

from helpers.quantization import fold_batch_norm


class Meanwhile(nn.Sequential):
    """Calls a function whenever it runs, also where it is followed."""

    def forward(self, x):
        self.does()
        return super().forward(x)


def test_models_of_other_threads_run_while_one_is_followed():
    whole, other, answers = Meanwhile(*small()), nn.Linear(2, 3), []

    def elsewhere():
        thread = threading.Thread(target=lambda: answers.append(other(torch.ones(4, 2))))
        thread.start()
        thread.join()

    Meanwhile.does = staticmethod(elsewhere)
    assert isinstance(fold_batch_norm(whole)[1], nn.Identity)
    assert torch.equal(answers[0], other(torch.ones(4, 2)))


def test_two_threads_that_fold_leave_pytorch_as_it_was():
    first, folded, call = Meanwhile(*small()), [], nn.Module.__call__

    def long():  # so that it would end after the first
        time.sleep(0.1)

    def elsewhere():
        Meanwhile.does = staticmethod(long)
        thread.start()
        time.sleep(0.05)

    second = Meanwhile(*small())
    thread = threading.Thread(target=lambda: folded.append(fold_batch_norm(second)))
    Meanwhile.does = staticmethod(elsewhere)
    folded.append(fold_batch_norm(first))
    thread.join()
    assert nn.Module.__call__ is call
    assert all(isinstance(model[1], nn.Identity) for model in folded) and len(folded) == 2


def small():
    return nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
