"""Evidence over draws and keep ratios: the same figures as a comparison gives, one row at a time."""

import numpy as np
import pytest

from focusmae.comparison import compare
from focusmae.errors import SettingsError
from focusmae.evidence import KEEPS, Table, curve_steps, evidence_steps
from focusmae.masking import visible_count
from focusmae.metrics import bootstrap_interval
from focusmae.prepared import Cache
from focusmae.settings import Settings
from tests.tiny import is_one_sentence


@pytest.fixture(scope="module")
def cache():
    return Cache()


@pytest.fixture(scope="module")
def tables(photo_file, cache):
    return list(evidence_steps(photo_file, Settings(keep=0.1, seed=5), seeds=4, cache=cache))


def test_the_table_grows_by_one_draw(tables):
    assert [table.seeds for table in tables] == [[5], [5, 6], [5, 6, 7], [5, 6, 7, 8]]
    assert [len(table.rows) for table in tables] == [1, 2, 3, 4] and {table.total for table in tables} == {4}
    assert tables[0].paired == {} and tables[1].rows == tables[-1].rows[:2]


def test_each_row_is_what_compare_measures_with_that_seed(photo_file, cache, tables):
    for seed, row in zip(tables[-1].seeds[:2], tables[-1].rows, strict=False):
        arms = compare(photo_file, keep=0.1, seed=seed, cache=cache).arms
        for measured, arm in zip(row, arms.values(), strict=True):
            assert measured == pytest.approx({key: arm.metrics[key] for key in measured}, rel=1e-4, abs=1e-6)


def test_the_intervals_are_those_of_the_differences(tables):
    last = tables[-1]
    for measure, found in last.paired.items():
        mean, low, high = bootstrap_interval(last.differences(measure))
        assert (found["mean_difference"], found["low"], found["high"], found["seeds"]) == (mean, low, high, 4)


def test_a_draw_is_won_by_less_error_and_more_probability():
    rows = [
        [{"heldout_mse": 0.2, "p_class": 0.5}, {"heldout_mse": 0.1, "p_class": 0.5}],
        [{"heldout_mse": 0.2, "p_class": 0.5}, {"heldout_mse": 0.3, "p_class": 0.9}],
    ]
    table = Table([0, 1], rows, {}, 2)
    assert table.wins("heldout_mse") == 1 and table.wins("p_class") == 1
    assert table.differences("p_class") == [0.0, pytest.approx(0.4)]


def test_a_wish_reaches_the_evidence(photo_file, cache, tables):
    plain = compare(photo_file, keep=0.1, cache=cache)
    number = int(np.bincount(plain.token_segment)[1:].argmax()) + 1
    raised = Settings(keep=0.1, seed=5, focus=((number, 6.0),))
    *_, other = evidence_steps(photo_file, raised, seeds=2, cache=cache)
    for before, after in zip(tables[1].rows, other.rows, strict=True):
        assert before[0] == pytest.approx(after[0], rel=1e-5) and before[1] != pytest.approx(after[1], rel=1e-3)


def test_a_curve_meets_the_table_at_the_same_keep_ratio(photo_file, cache, tables):
    points = list(curve_steps(photo_file, Settings(seed=5), keeps=(0.5, 0.1), seeds=2, cache=cache))
    assert [(p.keep, p.visible, p.seeds) for p in points] == [(0.5, 98, 2), (0.1, 19, 2)]
    for number, arm in enumerate(points[1].arms):
        values = [row[number]["p_class"] for row in tables[1].rows]
        mean, low, high = np.mean(values), min(values), max(values)
        assert arm["p_class"] == pytest.approx((mean, low, high), rel=1e-4)


def test_the_curve_covers_what_the_page_offers():
    assert sorted(KEEPS)[0] == 0.05 and sorted(KEEPS)[-1] == 0.9 and len(set(KEEPS)) == len(KEEPS)
    assert len({visible_count(196, keep) for keep in KEEPS}) == len(KEEPS)


@pytest.mark.parametrize(
    "call",
    [
        lambda f: evidence_steps(f, Settings(strategies=("random",))),
        lambda f: evidence_steps(f, Settings(), seeds=0),
        lambda f: curve_steps(f, Settings(), keeps=(0.0, 0.5)),
        lambda f: curve_steps(f, Settings(strategies=("random", "select", "tube"))),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(call, photo_file):
    with pytest.raises(SettingsError) as error:
        next(call(photo_file))
    assert is_one_sentence(str(error.value))
