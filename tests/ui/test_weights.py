"""What visitors are told of the weights that they may choose."""

import pytest

from focusmae.errors import SettingsError
from focusmae.ui import weights


def test_every_role_begins_with_the_automatic_choice():
    found = weights.rows()
    assert list(found) == list(weights.ROLES)
    assert all(rows[0]["title"] == "" and rows[0]["here"] for rows in found.values())
    assert {"mae-base", "videomae-base"} <= {row["name"] for row in found["autoencoder"]}


def test_sam_says_how_long_it_will_take():
    rows = {row["name"]: row for row in weights.rows_with_waits()["segmenter"]}
    waits = {name: row["wait"] for name, row in rows.items() if "wait" in row}
    assert set(waits) == {"sam-vit-base", "sam-vit-large", "sam-vit-huge"}
    assert all(0 < wait["image"] < wait["clip"] for wait in waits.values())
    assert waits["sam-vit-base"]["image"] < waits["sam-vit-large"]["image"] < waits["sam-vit-huge"]["image"]


def test_only_listed_names_are_known():
    assert weights.known("autoencoder", "") == "" and weights.known("classifier", "vit-base") == "vit-base"
    with pytest.raises(SettingsError, match="There is no autoencoder '/etc/passwd' here; choose from"):
        weights.known("autoencoder", "/etc/passwd")
