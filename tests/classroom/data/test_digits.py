"""The digits: shapes, dtypes and range, and one split that never changes or overlaps."""

import socket

import pytest
import torch
from sklearn.datasets import load_digits as sklearn_digits

from helpers.classroom.data.digits import CHOOSE_ON, Digits, load_digits


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


def test_shapes_and_dtypes_are_those_of_the_docstring(digits):
    assert digits.train_images.shape == (1078, 1, 8, 8)
    assert digits.test_images.shape == (719, 1, 8, 8)
    assert digits.train_labels.shape == (1078,)
    assert digits.test_labels.shape == (719,)
    assert digits.train_images.dtype == digits.test_images.dtype == torch.float32
    assert digits.train_labels.dtype == digits.test_labels.dtype == torch.int64


def test_ink_runs_from_0_to_1_in_sixteenths(digits):
    for images in (digits.train_images, digits.test_images):
        assert images.min() == 0 and images.max() == 1
        assert torch.equal(images * 16, (images * 16).round())


def test_the_split_is_the_same_each_time_whatever_the_seed(digits):
    torch.manual_seed(5)
    again = load_digits()
    assert all(torch.equal(a, b) for a, b in zip(digits, again, strict=True))
    # Known images at known places, so that another version of scikit-learn that split
    # differently would be noticed: the shipped accuracy belongs to this split.
    assert digits.train_labels[:8].tolist() == [5, 1, 1, 0, 3, 2, 0, 2]
    assert digits.test_labels[:8].tolist() == [1, 3, 4, 0, 6, 7, 3, 0]
    assert (digits.test_images * 16).sum().item() == 225_295


def test_train_and_test_together_are_all_images_and_none_twice(digits):
    both = torch.cat([digits.train_images, digits.test_images]).flatten(1) * 16
    labels = torch.cat([digits.train_labels, digits.test_labels])
    bunch = sklearn_digits()

    def sort(images, labels):
        pairs = zip(images, labels, strict=True)
        return sorted((*map(int, image), int(label)) for image, label in pairs)

    ours = sort(both.tolist(), labels.tolist())
    assert ours == sort(bunch.data, bunch.target)
    assert len(set(ours)) == len(ours) == 1797  # no picture has a twin on the other side


def test_each_class_has_its_share_of_the_test_images_within_one_image(digits):
    for digit in range(10):
        test = (digits.test_labels == digit).sum().item()
        everywhere = test + (digits.train_labels == digit).sum().item()
        assert abs(test - everywhere * 719 / 1797) < 1, digit


def test_nothing_is_downloaded(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("load_digits opened a network connection")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert len(load_digits().test_images) == 719


def test_what_chooses_and_what_judges_share_no_image(digits):
    images, labels = digits.choosing
    others, their_labels = digits.judging
    assert (len(images), len(others)) == (CHOOSE_ON, 359)
    assert torch.equal(torch.cat([images, others]), digits.test_images)
    assert torch.equal(torch.cat([labels, their_labels]), digits.test_labels)
    known = {image.numpy().tobytes() for image in images}
    assert not known & {image.numpy().tobytes() for image in others}
