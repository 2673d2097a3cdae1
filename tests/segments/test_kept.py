"""The last few results: the one that was not asked for longest goes first."""

from focusmae.segments.kept import Kept


def test_the_latest_few_are_kept():
    kept = Kept(2)
    for name in "abc":
        assert kept.put(name, name.upper()) == name.upper()
        kept.get("b")
    assert [kept.get(name) for name in "abc"] == [None, "B", "C"]
    kept.get("b")
    kept.put("d", "D")
    assert [kept.get(name) for name in "bcd"] == ["B", None, "D"] and len(kept) == 2
