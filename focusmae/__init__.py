"""FocusMAE: see what a masked autoencoder does when it looks where it matters.

>>> import focusmae
>>> result = focusmae.compare("photo.jpg", keep=0.25, seed=0)
>>> result.save("out/")

Names are imported on first use, so that ``import focusmae`` itself is quick.
"""

import importlib

_WHERE = {
    "compare": "focusmae.comparison",
    "Comparison": "focusmae.comparison",
    "Settings": "focusmae.comparison",
    "load_autoencoder": "focusmae.models.load",
    "load_classifier": "focusmae.models.load",
    "load_scorer": "focusmae.models.load",
    "load_segmenter": "focusmae.segments.base",
    "open_media": "focusmae.media",
    "Grid": "focusmae.masking",
    "generator": "focusmae.masking",
    "sample_visible": "focusmae.masking",
    "inclusion_probability": "focusmae.masking",
    "STRATEGIES": "focusmae.strategies",
    "FocusMAEError": "focusmae.errors",
    "MediaError": "focusmae.errors",
    "SettingsError": "focusmae.errors",
    "WeightsError": "focusmae.errors",
}
__all__ = sorted(_WHERE)
__version__ = "0.1.0"


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'focusmae' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
