"""Renders the third example clip, a sector scan of nobody: into this folder or the one that is named.

3 s, 24 frames a second, 384 x 288, as the others. A drawn anatomy (liver, vessels, gallbladder, stone, diaphragm)
3 s, 24 frames a second, 384 x 288, as the others. A drawn anatomy (liver with vessels, gallbladder, stone, diaphragm)
then attenuation, shadow and enhancement along each beam, log compression and scan conversion. Not for diagnosis.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from focusmae.media import write_mp4

WIDTH, HEIGHT, FPS, FRAMES = 384, 288, 24, 72
DEPTHS, BEAMS = 620, 220  # samples along a beam, beams
OPENING = np.radians(36)  # half the angle of the sector
APEX, NEAR, FAR = -0.36, 0.50, 1.50  # the probe is an arc: its centre above the picture, its radius, the deepest echo
RANGE = 52.0  # decibels between black and white


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    x = np.clip((x - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)


def ellipse(x, y, centre, radii, turn: float) -> np.ndarray:
    """Distance from an ellipse's edge in units of its smaller radius: below 0 inside."""
    c, s = np.cos(turn), np.sin(turn)
    u, v = c * (x - centre[0]) + s * (y - centre[1]), -s * (x - centre[0]) + c * (y - centre[1])
    return (np.hypot(u / radii[0], v / radii[1]) - 1) * max(radii) / min(radii)


def tissue(x: np.ndarray, y: np.ndarray, wobble: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(echogenicity in decibels, specular echoes in decibels, absorption, lightness of what lies behind) at points."""
    level = -21 + 11 * (wobble - 0.5)
    layers = np.sin(95 * y + 9 * wobble) * smoothstep(0.30, 0.16, y)
    level = level + 8 * layers + 9 * smoothstep(0.24, 0.15, y)  # skin, fat, muscle
    bright = np.full_like(x, -80.0)
    absorbs, lightens = np.ones_like(x), np.zeros_like(x)
    for points, radius in (
        (((-0.50, 0.50), (-0.26, 0.44), (-0.08, 0.30)), 0.017),
        (((-0.40, 0.78), (-0.22, 0.62), (-0.24, 0.44)), 0.013),
        (((0.50, 0.42), (0.40, 0.56), (0.44, 0.72)), 0.012),
    ):
        away = np.min([_away(x, y, a, b) for a, b in zip(points, points[1:], strict=False)], axis=0)
        away = away + 0.010 * (wobble - 0.5)
        level = level - 30 * smoothstep(radius + 0.003, radius - 0.003, away)
        bright = np.maximum(bright, -11 - 9e5 * (away - radius - 0.004) ** 2)
    pear = 1 + 0.42 * smoothstep(0.2, -0.2, x - 0.10)  # narrower towards its neck
    bag = ellipse(x, y, (0.10, 0.56), (0.25, 0.125), 0.30) * pear + 0.30 * (pear - 1) + 0.5 * (wobble - 0.5)
    level = level - 42 * smoothstep(0.03, -0.05, bag)
    bright = np.maximum(bright, -7 - 9000 * (bag - 0.07) ** 2)  # its wall
    lightens = np.where(bag < 0, 1.5, lightens)  # fluid weakens the pulse less, so what lies behind is brighter
    stone = ellipse(x, y, (0.20, 0.632), (0.050, 0.036), 0.25)
    level = np.where(stone < 0, -14, level)
    bright = np.maximum(bright, np.where(y < 0.635, 3 - 900 * stone**2, -80))
    absorbs = np.where(stone < 0, 95.0, absorbs)
    arch = np.hypot(x + 0.10, 1.1 * (y - 0.16)) - 0.86 - 0.05 * (wobble - 0.5)
    bright = np.maximum(bright, -2 - 14 * smoothstep(0.1, 0.7, np.abs(x + 0.12)) - 2.2e5 * arch**2)  # diaphragm
    level = np.where(arch > 0, -33 + 6 * (wobble - 0.5), level)
    for place, radius in (((-0.30, 0.26), 0.012), ((0.30, 0.27), 0.010), ((-0.56, 0.66), 0.012), ((0.02, 0.86), 0.013),
                          ((-0.12, 0.72), 0.009), ((0.62, 0.60), 0.010)):  # small vessels, cut across
        away = np.hypot(x - place[0], 1.3 * (y - place[1]))
        level = level - 26 * smoothstep(radius + 0.003, radius - 0.003, away)
        bright = np.maximum(bright, -14 - 9e5 * (away - radius - 0.003) ** 2)
    return level, bright, absorbs, lightens


def _away(x, y, start, end) -> np.ndarray:
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)


def field(rng: np.random.Generator, size: int = 900) -> np.ndarray:
    """Random scatterers, complex (size, size), standing for a square of 2 x 2 in the anatomy."""
    return rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))


def sampled(values: np.ndarray, x: np.ndarray, y: np.ndarray, order: int = 1) -> np.ndarray:
    size = values.shape[0]
    return map_coordinates(values, [(y * size / 2) % size, ((x + 1) * size / 2) % size], order=order, mode="grid-wrap")


def render() -> np.ndarray:
    """uint8 (FRAMES, HEIGHT, WIDTH, 3)."""
    rng = np.random.default_rng(11)
    points = field(rng)
    cloud = gaussian_filter(rng.normal(size=(300, 300)), 14, mode="wrap")
    cloud = (cloud - cloud.min()) / np.ptp(cloud)
    radius = np.linspace(NEAR, FAR, DEPTHS)[:, None]
    angle = np.linspace(-OPENING, OPENING, BEAMS)[None]
    frames = []
    for number in range(FRAMES):
        seconds = number / FPS
        breath = np.sin(2 * np.pi * seconds / 3.0)
        lean = 0.035 * np.sin(2 * np.pi * seconds / 3.0 + 1.1)  # the hand that holds the probe
        x = radius * np.sin(angle + lean)
        y = APEX + radius * np.cos(angle + lean)
        deep = smoothstep(0.12, 0.5, y)  # the abdominal wall stays, what is below it moves
        x, y = x - 0.018 * breath * deep, y - 0.045 * breath * deep * (1 + 0.25 * x)
        level, bright, absorbs, lightens = tissue(x, y, sampled(cloud, x, y))
        echo = (sampled(points.real, x, y) + 1j * sampled(points.imag, x, y)) * 10 ** (level / 20)
        echo = echo + 10 ** (bright / 20) * (0.45 + 0.55 * sampled(points.real, x, y))
        echo = gaussian_filter(echo.real, (1.7, 1.25)) + 1j * gaussian_filter(echo.imag, (1.7, 1.25))
        wide = gaussian_filter(echo.real, (0, 2.0)) + 1j * gaussian_filter(echo.imag, (0, 2.0))
        far = smoothstep(NEAR + 0.25, FAR, radius)
        echo = (1 - far) * echo + 1.4 * far * wide  # the beam is narrowest at its focus
        step = (FAR - NEAR) / DEPTHS
        loss = np.cumsum((absorbs - 1) * 9 + 3.0 - 14 * lightens, axis=0) * step
        decibels = 20 * np.log10(np.abs(echo) + 1e-9) - loss + 21
        frames.append(converted(np.clip(decibels / RANGE + 0.72, 0, 1), rng))
    return np.stack(frames)


def converted(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Beams (DEPTHS, BEAMS) in [0, 1] -> the sector as uint8 (HEIGHT, WIDTH, 3), with marks of depth at its side."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    scale = 1.06 / HEIGHT
    u, v = (x - WIDTH / 2) * scale, y * scale - 0.02 + 0.14
    radius, angle = np.hypot(u, v - APEX), np.arctan2(u, v - APEX)
    rows, columns = (radius - NEAR) / (FAR - NEAR) * (DEPTHS - 1), (angle + OPENING) / (2 * OPENING) * (BEAMS - 1)
    picture = map_coordinates(light, [rows, columns], order=1, mode="constant")
    inside = smoothstep(OPENING + 0.004, OPENING - 0.004, np.abs(angle)) * (radius > NEAR) * (radius < FAR)
    levels = 255 * (picture**1.05) * inside + rng.normal(0, 0.8, picture.shape)
    for depth in range(1, 10):
        levels[28 * depth : 28 * depth + 2, WIDTH - 12 : WIDTH - (4 if depth % 5 else 0)] = 120
    tint = np.array([0.985, 1.0, 1.01])
    return np.clip(levels[..., None] * tint + 0.5, 0, 255).astype(np.uint8)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    data = write_mp4(folder / "ultrasound.mp4", render(), FPS, 32)
    print(f"ultrasound.mp4: {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
