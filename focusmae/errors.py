"""The few errors that a visitor may see: each carries one sentence that says what was wrong and what would work."""


class FocusMAEError(Exception):
    """Base of every error that FocusMAE raises on purpose; ``str(error)`` is fit to be shown as it is."""


class MediaError(FocusMAEError):
    """The photo or clip cannot be used: too large, broken, empty, or of a kind that is not read."""


class SettingsError(FocusMAEError, ValueError):
    """A setting is outside its range or names something that does not exist."""


class WeightsError(FocusMAEError):
    """Weights are missing, damaged, of another shape, or not what their name promises."""


class Cancelled(FocusMAEError):
    """Somebody stopped the work: nothing is wrong, and nothing is half done."""
