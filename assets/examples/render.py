"""Renders the two example clips from nothing but numbers, into this folder or the one that is named.

Both: 3 s, 24 frames a second, 384 x 288. Everything is drawn larger and then averaged down (anti-aliasing),
with a little grain at the end, as a camera has. The same bytes come out of every run on one machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from focusmae.media import write_mp4

WIDTH, HEIGHT, FPS, FRAMES = 384, 288, 24, 72
STILL = 10  # the frame of the parachute that serves as a photo
FINE = 3  # drawn so many times larger


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    x = np.clip((x - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)


def colour(*levels: float) -> np.ndarray:
    """sRGB levels 0 to 255 -> linear light (3,)."""
    return (np.array(levels) / 255) ** 2.2


def fractal_noise(rng: np.random.Generator, height: int, width: int, octaves: int, first: int) -> np.ndarray:
    """(H, W) in about [0, 1]: octaves of smooth noise that repeat at the edges, the first with ``first`` cells."""
    total, weight = np.zeros((height, width)), 0.0
    y, x = np.mgrid[:height, :width]
    for octave in range(octaves):
        cells = first * 2**octave
        grid = rng.random((cells, cells))
        place = [y * cells / height, x * cells / width]
        total += map_coordinates(grid, place, order=3, mode="grid-wrap") * 0.55**octave
        weight += 0.55**octave
    return total / weight


def developed(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Linear light at FINE times the size -> uint8 (HEIGHT, WIDTH, 3), with vignette and grain."""
    height, width = light.shape[0] // FINE, light.shape[1] // FINE
    light = light.reshape(height, FINE, width, FINE, 3).mean(axis=(1, 3))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = light * (1 - 0.13 * (x**2 + y**2))[..., None]
    light = light * (1 + 0.18 * light) / (1 + 0.36 * light) * 1.14  # the shoulder of film
    levels = np.clip(light, 0, 1) ** (1 / 2.2) * 255
    grain = gaussian_filter(rng.normal(0, 2.2, levels.shape), (0.6, 0.6, 0))
    return np.clip(levels + grain + 0.5, 0, 255).astype(np.uint8)


# The parachute


def turned(roll: float, pitch: float) -> np.ndarray:
    """(3, 3): first a roll in the picture's plane, then a pitch towards the camera."""
    cr, sr, cp, sp = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch)
    return np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])


def sky(seconds: float, clouds: np.ndarray, hills: np.ndarray) -> np.ndarray:
    """Linear light (H, W, 3): blue above, haze below, a layer of clouds in perspective, far hills."""
    height, width = HEIGHT * FINE, WIDTH * FINE
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    blend = smoothstep(0, 0.95, y)[..., None]
    light = colour(52, 112, 188) * (1 - blend) + colour(190, 214, 232) * blend
    glow = np.exp(-((x - 0.93) ** 2 + (y + 0.05) ** 2) / 0.18)[..., None]
    light = light + 0.30 * glow * colour(255, 247, 214)
    # A flat layer of clouds seen from below: the nearer to the horizon, the further and the smaller.
    depth = 1 / (0.98 - np.clip(y, 0, 0.93) + 0.10)
    size = clouds.shape[0]
    place = [(depth * 0.30 * size) % size, ((x - 0.5) * depth * 0.32 + 0.25 + 0.004 * seconds) * size % size]
    cover = map_coordinates(clouds, place, order=1, mode="grid-wrap")
    above = map_coordinates(clouds, [place[0] + 9, place[1] + 14], order=1, mode="grid-wrap")
    dense = smoothstep(0.50, 0.70, cover)
    lit = 0.93 + 1.3 * (cover - above) - 0.22 * smoothstep(0.6, 0.82, cover)
    white = np.clip(lit, 0.55, 1.1)[..., None] * colour(250, 249, 247)
    alpha = (dense * smoothstep(0.97, 0.72, y) * 0.93)[..., None]
    light = light * (1 - alpha) + white * alpha
    ranges = ((0.905, (134, 160, 184)), (0.945, (92, 118, 122)), (0.975, (64, 88, 70)))
    for hill, (level, tint) in zip(hills, ranges, strict=True):
        line = level - 0.05 * (hill - 0.5)
        inside = smoothstep(-0.0015, 0.0015, y - line[None])[..., None]
        light = light * (1 - inside) + colour(*tint) * (1 + 0.5 * (line[None] + 0.05 - y)[..., None]) * inside
    return light


def capsule(x, y, start, end, radius):
    """(coverage, sideways position in -1..1) of a thick line from ``start`` to ``end``, all in fine pixels."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(np.hypot(dx, dy), 1e-6)
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / length**2, 0, 1)
    away = np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)
    side = ((x - start[0]) * dy - (y - start[1]) * dx) / length / radius
    return np.clip(radius + 0.5 - away, 0, 1), np.clip(side, -1, 1)


def parachute(light: np.ndarray, seconds: float, cloth: np.ndarray) -> np.ndarray:
    """Draws canopy, lines and person into linear ``light``."""
    scale = FINE * (47 + 1.6 * seconds)  # canopy's radius: it comes a little nearer
    centre = np.array([FINE * (140 + 25 * seconds + 3 * np.sin(2.1 * seconds)), FINE * (58 + 23 * seconds)])
    roll = 0.13 * np.sin(2.1 * seconds + 0.6)
    frame = turned(roll, -0.30)  # from the parachute's axes (x right, y up, z to us) to the camera's
    sun = np.array([0.62, 0.66, 0.42])
    sun = frame.T @ (sun / np.linalg.norm(sun))
    left, top = (int(max(0, c - 1.35 * scale)) for c in centre)
    right, bottom = (int(c + 1.35 * scale) for c in centre)
    y, x = np.mgrid[top:bottom, left:right]
    look = frame.T @ np.array([0.0, 0.0, -1.0])
    at = np.stack([(x - centre[0]) / scale, (centre[1] - y) / scale, np.zeros_like(x, float)], -1) @ frame
    rise = 0.80  # height of the dome over its radius
    squash = np.array([1, 1 / rise, 1])
    p, d = at * squash, look * squash
    a, b, c = d @ d, p @ d, (p * p).sum(-1) - 1
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    hit = b * b > a * c
    gores, spin = 16, 0.12 * seconds

    def surface(distance):
        point = at + distance[..., None] * look
        round_ = (np.arctan2(point[..., 2], point[..., 0]) + spin) * gores / (2 * np.pi)
        part = round_ - np.floor(round_)
        # The rim hangs in arcs between the lines.
        cloth_there = hit & (point[..., 1] > -0.02 + 0.075 * np.sin(np.pi * part) - 0.02)
        return point, round_, part, cloth_there

    white = (238, 234, 226)
    stripes = ((206, 38, 34), white, (242, 140, 26), white, (30, 66, 148), white, (242, 190, 40), white)
    palette = np.stack([colour(*stripe) for stripe in stripes])
    coat = np.zeros((*x.shape, 3))
    alpha = np.zeros(x.shape)
    for distance, inside in (((-b + root) / a, True), ((-b - root) / a, False)):
        point, round_, part, there = surface(distance)
        normal = point / np.array([1, rise**2, 1])
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
        # Each gore bulges between its seams.
        around = np.stack([-point[..., 2], np.zeros_like(part), point[..., 0]], -1)
        around /= np.linalg.norm(around, axis=-1, keepdims=True) + 1e-9
        normal = normal + 0.44 * np.sin(2 * np.pi * part)[..., None] * around
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        facing = (normal * sun).sum(-1)
        tint = palette[np.floor(round_).astype(int) % len(palette)]
        tint = np.where((point[..., 1] < 0.10)[..., None], tint * 0.8, tint)  # the hem
        wrinkle = cloth[(y - top) % cloth.shape[0], (x - left) % cloth.shape[1]]
        through = 0.30 * np.clip(facing if inside else -facing, 0, 1)
        direct = 0.0 if inside else 0.98 * np.clip(facing, 0, 1)
        ambient = (0.24 if inside else 0.36) + (0.10 * normal[..., 1] if not inside else 0.05)
        strength = (direct + through + ambient) * (0.93 + 0.14 * wrinkle)
        seam = smoothstep(0.035, 0.012, np.minimum(part, 1 - part))
        from_top = np.hypot(point[..., 0], point[..., 2])
        strength = strength * (1 - 0.42 * seam) * (1 - 0.25 * smoothstep(0.16, 0.05, from_top))
        there &= from_top >= 0.05  # the vent
        coat = np.where(there[..., None], tint * strength[..., None], coat)
        alpha = np.where(there, 1.0, alpha)
    lines = np.zeros(light.shape[:2])
    yy, xx = np.mgrid[: light.shape[0], : light.shape[1]]

    def project(point):
        seen = frame @ np.asarray(point, float)
        return centre[0] + scale * seen[0], centre[1] - scale * seen[1]

    harness = [project((shift, -2.05, 0)) for shift in (-0.055, 0.055)]
    front = np.zeros_like(lines)
    for number in range(gores):
        angle = (number / gores) * 2 * np.pi - spin
        rim = (np.cos(angle) * 1.0, -0.02, np.sin(angle) * 1.0)
        start, end = project(rim), harness[int(np.cos(angle) > 0)]
        low, high = np.minimum(start, end) - 3, np.maximum(start, end) + 4
        box = np.s_[max(0, int(low[1])) : int(high[1]), max(0, int(low[0])) : int(high[0])]
        drawn, _ = capsule(xx[box], yy[box], start, end, 0.55)
        target = front if np.sin(angle) > 0 else lines
        target[box] = np.maximum(target[box], drawn)
    string = colour(58, 56, 60)
    light = light * (1 - 0.75 * lines[..., None]) + string * 0.75 * lines[..., None]
    box = np.s_[top:bottom, left:right]
    light[box] = np.where(alpha[..., None] > 0, coat, light[box])
    light = light * (1 - 0.8 * front[..., None]) + string * 0.8 * front[..., None]
    return person(light, seconds, (harness[0], harness[1]), scale, roll)


def person(light, seconds, hands, scale, roll):
    """A small jumper in a suit, hanging below the lines, legs swinging a little."""
    unit = scale * 0.105
    down = np.array([np.sin(roll * 1.6), np.cos(roll * 1.6)])
    right = np.array([down[1], -down[0]])
    base = (np.array(hands[0]) + np.array(hands[1])) / 2

    def at(across, along):
        return base + unit * (across * right + along * down)

    swing = 0.35 * np.sin(2.1 * seconds + 1.9)
    suit, dark, skin, strap = colour(196, 62, 30), colour(38, 42, 54), colour(206, 160, 130), colour(34, 34, 38)
    knees = at(-0.34 + swing, 5.3), at(0.34 + 0.8 * swing, 5.3)
    feet = at(-0.4 + 1.9 * swing, 6.7), at(0.36 + 1.6 * swing, 6.8)
    toes = at(-0.62 + 1.9 * swing, 6.85), at(0.15 + 1.6 * swing, 6.95)
    parts = [
        (at(-0.62, 0.2), at(-0.5, 2.0), 0.20, suit),
        (at(0.62, 0.2), at(0.5, 2.0), 0.20, suit),
        (at(-0.62, 0.05), at(-0.62, 0.25), 0.19, skin),
        (at(0.62, 0.05), at(0.62, 0.25), 0.19, skin),
        (at(-0.27, 3.9), knees[0], 0.30, dark),
        (knees[0], feet[0], 0.24, dark),
        (feet[0], toes[0], 0.24, strap),
        (at(0.27, 3.9), knees[1], 0.30, dark),
        (knees[1], feet[1], 0.24, dark),
        (feet[1], toes[1], 0.24, strap),
        (at(0, 2.2), at(0, 3.8), 0.58, suit),
        (at(-0.32, 1.8), at(-0.30, 3.9), 0.09, strap),
        (at(0.32, 1.8), at(0.30, 3.9), 0.09, strap),
        (at(-0.4, 3.9), at(0.4, 3.9), 0.12, strap),
        (at(0, 1.28), at(0, 1.36), 0.40, skin),
        (at(0, 1.05), at(0, 1.14), 0.45, colour(230, 230, 232)),  # the helmet
    ]
    for start, end, radius, tint in parts:
        radius = radius * unit
        low = np.minimum(start, end) - radius - 2
        high = np.maximum(start, end) + radius + 3
        box = np.s_[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])]
        y, x = np.mgrid[box]
        drawn, side = capsule(x, y, start, end, radius)
        toward = side if end[1] > start[1] else -side
        shade = 0.46 + 0.54 * np.clip(0.55 + 0.75 * toward, 0, 1)
        light[box] = light[box] * (1 - drawn[..., None]) + tint * shade[..., None] * drawn[..., None]
    return light


def render_parachute() -> np.ndarray:
    """uint8 (72, 288, 384, 3)."""
    rng = np.random.default_rng(7)
    clouds = fractal_noise(rng, 1024, 1024, 7, 4)
    clouds = (clouds - clouds.min()) / (clouds.max() - clouds.min())
    hills = [fractal_noise(rng, 8, WIDTH * FINE, 6, 3)[0] for _ in range(3)]
    cloth = fractal_noise(rng, 512, 512, 4, 24)
    frames = []
    for number in range(FRAMES):
        seconds = number / FPS
        light = parachute(sky(seconds, clouds, hills), seconds, cloth)
        frames.append(developed(light, rng))
    return np.stack(frames)


# The golf ball


def view_depth(y: np.ndarray | float) -> np.ndarray | float:
    """How large things on the ground look at the height ``y`` (0 top, 1 bottom): 1 at the bottom."""
    return 0.16 + 0.84 * np.clip((np.asarray(y) - 0.13) / 0.87, 0, None)


def meadow(rng: np.random.Generator) -> tuple[np.ndarray, list]:
    """Linear light of the empty green, and its blades [(root y, points, colour)] from far to near."""
    height, width = HEIGHT * FINE, WIDTH * FINE
    image = Image.new("RGB", (width, height), (52, 84, 30))
    draw = ImageDraw.Draw(image)
    patches = fractal_noise(rng, 256, 256, 4, 5)
    blades = []
    for y in np.sort(0.12 + 0.93 * rng.random(52000) ** 0.62):
        near = float(view_depth(y))
        x = rng.random() * 1.04 - 0.02
        ground = (x - 0.5) / near  # across the green, in widths at the bottom
        stripe = 0.5 + 0.5 * np.tanh(5 * np.sin(6.5 * ground + 1.2))
        tone = 0.74 + 0.30 * stripe + 0.40 * (patches[int(999 / near * 0.3) % 256, int(ground * 160) % 256] - 0.5)
        tone *= rng.uniform(0.62, 1.22)
        dry = rng.random() < 0.05
        green = np.array([150, 148, 78] if dry else [86 + 34 * rng.random(), 142 + 20 * rng.random(), 44]) * tone
        long = FINE * 14 * near * rng.uniform(0.55, 1.15)
        lean = rng.normal(0.12, 0.5)
        root = (x * width, y * height)
        bend = (root[0] + 0.4 * lean * long, root[1] - 0.62 * long)
        tip = (root[0] + lean * long * 1.05, root[1] - long * (1 - 0.3 * abs(lean)))
        thick = max(1, round(FINE * 0.85 * near * rng.uniform(0.6, 1.2)))
        blades.append((y, (root, bend, tip), tuple(int(min(255, level)) for level in green), thick))
    for blade in blades:
        draw_blade(draw, blade)
    return np.asarray(image, float), blades


def draw_blade(draw: ImageDraw.ImageDraw, blade, shift=(0, 0)) -> None:
    """Dark root, bright tip."""
    _, (root, bend, tip), tint, thick = blade
    root, bend, tip = ((point[0] - shift[0], point[1] - shift[1]) for point in (root, bend, tip))
    draw.line([root, bend], fill=tuple(int(0.66 * level) for level in tint), width=thick)
    draw.line([bend, tip], fill=tint, width=max(1, thick - 1))


def far_blur(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """sRGB levels -> linear light with trees behind the green, and the far part out of focus."""
    height, width = levels.shape[:2]
    y = np.linspace(0, 1, height)[:, None]
    trees = fractal_noise(rng, height, width, 5, 9)
    wood = colour(34, 66, 26) * (0.15 + 2.6 * trees[..., None] ** 2)
    lights = Image.new("L", (width, height))
    draw = ImageDraw.Draw(lights)
    for _ in range(60):  # sky between the leaves, as discs of an open lens
        x, top, radius = rng.random() * width, rng.random() ** 1.8 * 0.12 * height, FINE * rng.uniform(1.5, 5)
        draw.ellipse([x - radius, top - radius, x + radius, top + radius], fill=int(rng.uniform(20, 110)))
    spots = np.asarray(lights.filter(ImageFilter.GaussianBlur(FINE * 0.7)), float)[..., None] / 255
    wood = wood + spots * colour(226, 232, 150)
    line = 0.135 + 0.012 * (trees.mean(0, keepdims=True) - 0.5)
    light = (levels / 255) ** 2.2
    soft = [light] + [gaussian_filter(light, (FINE * s, FINE * s, 0)) for s in (0.8, 2.2, 5)]
    distance = np.clip((0.48 - y) / 0.36, 0, 1) * 3
    near = np.clip((y - 0.92) / 0.12, 0, 1) * 1.2
    level = np.broadcast_to(np.maximum(distance, near), (height, width))[..., None]
    mixed = sum(np.clip(1 - np.abs(level - number), 0, 1) * picture for number, picture in enumerate(soft))
    behind = smoothstep(0.02, -0.02, y - line)[..., None]
    light = mixed * (1 - behind) + gaussian_filter(wood, (FINE * 2.5, FINE * 2.5, 0)) * behind
    haze = 0.10 * smoothstep(0.5, 0.12, y)[..., None]
    return light * (1 - haze) + colour(196, 204, 150) * haze


def dimples(count: int) -> np.ndarray:
    """(count, 3) directions, evenly spread on the sphere (Fibonacci's spiral)."""
    number = np.arange(count) + 0.5
    height = 1 - 2 * number / count
    angle = np.pi * (1 + 5**0.5) * number
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(angle), height, flat * np.sin(angle)], -1)


def spun(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) rotation (Rodrigues)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def ball_light(
    radius: float, offset: np.ndarray, turn: np.ndarray, tree: cKDTree
) -> tuple[np.ndarray, np.ndarray]:
    """(light (n, n, 3), coverage (n, n)) of the ball; ``offset`` is its centre within the first pixel."""
    size = int(2 * radius + 4)
    y, x = (np.mgrid[:size, :size] - (radius + 2)) / radius
    x, y = x - offset[0] / radius, -(y - offset[1] / radius)
    away = np.hypot(x, y)
    inside = np.clip((1 - away) * radius + 0.5, 0, 1)
    z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    normal = np.stack([x, y, z], -1)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    own = normal @ turn  # the direction in the ball's own frame
    distance, nearest = tree.query(own.reshape(-1, 3))
    distance = distance.reshape(x.shape)
    centre = tree.data[nearest].reshape(normal.shape) @ turn.T
    wide = 0.088  # a dimple's radius over the ball's
    bowl = smoothstep(wide, 0.72 * wide, distance)
    lean = (centre - normal) * (distance / wide)[..., None] / np.maximum(distance, 1e-6)[..., None]
    bumped = normal + 0.62 * bowl[..., None] * lean
    bumped /= np.linalg.norm(bumped, axis=-1, keepdims=True)
    sun = np.array([-0.55, 0.68, 0.48])
    sun /= np.linalg.norm(sun)
    direct = np.clip(bumped @ sun, 0, 1) * smoothstep(-0.08, 0.14, normal @ sun)
    up = 0.5 + 0.5 * bumped[..., 1]
    white = colour(246, 246, 242)
    line = (np.abs(own[..., 2]) < 0.055) & (np.abs(own[..., 0]) < 0.62) & (own[..., 1] > 0)
    tint = np.where(line[..., None], colour(196, 34, 44), white)
    ambient = colour(150, 178, 214) * (0.75 * up)[..., None] + colour(92, 128, 48) * (0.75 * (1 - up))[..., None]
    hollow = 1 - 0.16 * bowl * smoothstep(wide, 0, distance)
    buried = 0.35 + 0.65 * smoothstep(-1.0, -0.25, normal[..., 1])
    falling = 0.98 * direct[..., None] * colour(255, 248, 232) + ambient * buried[..., None]
    light = tint * falling * hollow[..., None]
    half = sun + np.array([0, 0, 1])
    gloss = np.clip(bumped @ (half / np.linalg.norm(half)), 0, 1) ** 60
    return light + 0.30 * gloss[..., None], inside


def render_golf_ball() -> np.ndarray:
    """uint8 (72, 288, 384, 3)."""
    rng = np.random.default_rng(11)
    levels, blades = meadow(rng)
    ground = far_blur(levels, rng)
    roots = np.array([blade[0] for blade in blades])
    tree = cKDTree(dimples(332))
    yy, xx = np.mgrid[: HEIGHT * FINE, : WIDTH * FINE]
    frames = []
    turn = spun(np.array([1.0, 0.3, 0.2]), 0.9)
    before = None
    for number in range(FRAMES):
        seconds = number / FPS
        way = seconds - 0.115 * seconds**2  # it slows down
        foot = np.array([0.24 + 0.255 * way, 0.53 + 0.135 * way])  # where it touches the green, in pictures
        near = float(view_depth(foot[1]))
        radius = FINE * 58 * near
        centre = np.array([foot[0] * WIDTH * FINE, foot[1] * HEIGHT * FINE - 0.93 * radius])
        if before is not None:
            step = centre - before
            axis = np.array([0.42 * step[1], 0, -step[0]])  # across its way, which comes a little towards us
            turn = spun(axis, np.hypot(*step) * 1.05 / radius) @ turn
        before = centre
        light = ground.copy()
        # The shadow falls to the right and towards us; under the ball it is darkest.
        fx, fy = centre[0], foot[1] * HEIGHT * FINE
        u, v = (xx - fx - 0.82 * radius) / (1.22 * radius), (yy - fy - 0.02 * radius) / (0.36 * radius)
        cast = smoothstep(1.25, 0.72, np.hypot(u - 0.12 * v, v))
        u, v = (xx - fx) / (0.80 * radius), (yy - fy + 0.05 * radius) / (0.24 * radius)
        contact = smoothstep(1.35, 0.3, np.hypot(u, v))
        light *= (1 - 0.66 * cast * (1 - 0.2 * contact))[..., None] * (1 - 0.55 * contact)[..., None]
        whole = np.floor(centre).astype(int)
        ball, inside = ball_light(radius, centre - whole, turn, tree)
        left, top = whole - int(radius + 2)
        x0, y0 = max(0, left), max(0, top)
        box = np.s_[y0 : top + ball.shape[0], x0 : left + ball.shape[1]]
        shape = light[box].shape[:2]
        part = np.s_[y0 - top : y0 - top + shape[0], x0 - left : x0 - left + shape[1]]
        light[box] = light[box] * (1 - inside[part][..., None]) + ball[part] * inside[part][..., None]
        # Blades that grow in front of it hide its foot.
        size = (int(2.4 * radius), int(0.7 * radius))
        corner = (int(centre[0] - size[0] / 2), int(fy - 0.5 * size[1]))
        layer = Image.new("RGBA", size)
        draw = ImageDraw.Draw(layer)
        first, last = np.searchsorted(roots, [foot[1] - 0.004, foot[1] + 0.09])
        for blade in blades[first:last]:
            if corner[0] - 20 < blade[1][0][0] < corner[0] + size[0] + 20:
                draw_blade(draw, blade, corner)
        grass = np.asarray(layer.filter(ImageFilter.GaussianBlur(0.6)), float) / 255
        x0, y0 = max(0, corner[0]), max(0, corner[1])
        box = np.s_[y0 : corner[1] + size[1], x0 : corner[0] + size[0]]
        shape = light[box].shape[:2]
        part = np.s_[y0 - corner[1] : y0 - corner[1] + shape[0], x0 - corner[0] : x0 - corner[0] + shape[1]]
        cover = grass[part][..., 3:] * inside_of(box, centre, radius)[..., None]
        dark = (1 - 0.5 * cast[box])[..., None] * (1 - 0.35 * contact[box])[..., None]
        light[box] = light[box] * (1 - cover) + grass[part][..., :3] ** 2.2 * dark * cover
        frames.append(developed(light, rng))
    return np.stack(frames)


def inside_of(box, centre, radius) -> np.ndarray:
    """1 within the ball's disc in the slice ``box``, 0 outside, anti-aliased."""
    y, x = np.mgrid[box]
    return np.clip(radius + 1 - np.hypot(x - centre[0], y - centre[1]), 0, 1)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, render, crf in (("parachute.mp4", render_parachute, 16), ("golf_ball.mp4", render_golf_ball, 20)):
        frames = render()
        data = write_mp4(folder / name, frames, FPS, crf)
        if name == "parachute.mp4":
            Image.fromarray(frames[STILL]).save(folder / "parachute.jpg", quality=92)
        print(f"{name}: {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
