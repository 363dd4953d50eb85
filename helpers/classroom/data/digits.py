"""The course's data: scikit-learn's bundled 8 x 8 digits, as tensors."""

from typing import NamedTuple

import torch
from sklearn.datasets import load_digits as sklearn_digits
from sklearn.model_selection import train_test_split

TEST_IMAGES = 719  # 40 % of 1797: one image is 0.14 points of accuracy
CHOOSE_ON = 360  # of them, the first: what is chosen on these is judged on the others


class Digits(NamedTuple):
    """Images and labels, split once and for all.

    Attributes:
        train_images: float32, shape (1078, 1, 8, 8), values 0 to 1.
        train_labels: int64, shape (1078,), classes 0 to 9.
        test_images: float32, shape (719, 1, 8, 8), values 0 to 1.
        test_labels: int64, shape (719,).
    """

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor

    @property
    def choosing(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The first 360 test images and labels: whoever chooses may look at these."""
        return self.test_images[:CHOOSE_ON], self.test_labels[:CHOOSE_ON]

    @property
    def judging(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The last 359 test images and labels: what was chosen is judged here, once."""
        return self.test_images[CHOOSE_ON:], self.test_labels[CHOOSE_ON:]


def load_digits() -> Digits:
    """Return the digits with their fixed, stratified split.

    The pictures come with scikit-learn, so nothing is downloaded. Source: E. Alpaydin
    and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """
    bunch = sklearn_digits()
    indices = range(len(bunch.target))
    train, test = train_test_split(
        list(indices), test_size=TEST_IMAGES, stratify=bunch.target, random_state=0
    )
    # The pictures count ink from 0 to 16; a float32 in 0..1 holds that exactly.
    images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(bunch.target, dtype=torch.int64)
    return Digits(images[train], labels[train], images[test], labels[test])
