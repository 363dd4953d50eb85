"""The eight trainings: the table that ships, and how it is made."""

from functools import cache

import pytest

from helpers.classroom.data import eight_seeds
from helpers.classroom.data.eight_seeds import (
    MIXED,
    MOST_BYTES,
    SCHEMES,
    SEEDS,
    load_eight_seeds,
    measure,
    mixed_schemes,
    save_eight_seeds,
)
from helpers.classroom.data.networks import load_reference_model
from helpers.quantization import Scheme, packed_bytes

SHIPPED = load_reference_model()
# The greedy rule asks the model some sixty times.
measured, mixed = cache(measure), cache(mixed_schemes)


@pytest.fixture(autouse=True)
def asked_once(monkeypatch):
    monkeypatch.setattr(eight_seeds, "mixed_schemes", mixed)


def test_a_row_is_what_notebook_09_says_of_the_shipped_model():
    assert measured(SHIPPED) == {
        "float32": 98.9,
        "4 bits per tensor": 87.5,
        "3 bits per tensor": 27.8,
        "3 bits, percentile 96": 98.2,
        "3 bits, mse": 92.2,
        "3 bits per channel": 97.1,
        MIXED: 98.9,
    }


def test_mixed_bits_are_what_notebook_09_finds_and_fit():
    schemes = mixed(SHIPPED)
    assert [some.bits for some in schemes.values()] == [7, 7, 6, 6, 3, 5, 3, 5, 2, 3]
    assert set(schemes.values()) <= {Scheme(n, observer="mse") for n in range(2, 9)}
    assert MOST_BYTES - 200 < packed_bytes(SHIPPED, schemes) <= MOST_BYTES


def test_the_table_has_a_column_for_each_seed_and_a_row_for_each_scheme():
    table = load_eight_seeds()
    assert list(table.columns) == list(SEEDS)
    assert list(table.index) == [*SCHEMES, MIXED]
    assert table.loc["float32"].between(98, 100).all()
    assert ((table >= 0) & (table <= 100) & (table == table.round(1))).all(axis=None)


def test_it_is_written_from_the_models_that_are_trained(tmp_path, monkeypatch):
    trained = []

    def train(seed):
        trained.append(seed)
        return SHIPPED

    monkeypatch.setattr(eight_seeds, "train_reference_model", train)
    monkeypatch.setattr(eight_seeds, "measure", measured)
    monkeypatch.setattr(eight_seeds, "SEEDS", (3, 5))
    table = load_eight_seeds(save_eight_seeds(tmp_path / "seeds.json"))
    assert trained == [3, 5]
    assert table[5].to_dict() == measured(SHIPPED)


def test_what_was_there_stays_where_a_training_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(eight_seeds, "train_reference_model", lambda seed: 1 / 0)
    (tmp_path / "seeds.json").write_text("before")
    with pytest.raises(ZeroDivisionError):
        save_eight_seeds(tmp_path / "seeds.json")
    assert (tmp_path / "seeds.json").read_text() == "before"
