"""What visitors send: every format is rendered here and read back; every bad input gives one sentence."""

import dataclasses
import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from focusmae.errors import MediaError, SettingsError
from focusmae.media import LIMITS, open_media, sample_windows, square_boxes, write_mp4, write_png
from focusmae.media import clip as media_clip
from focusmae.media import file as media_file

EXAMPLES = Path(__file__).parent.parent / "assets" / "examples"
QUIET = {"libx265": {"x265-params": "log-level=none"}, "libsvtav1": {"preset": "10", "svtav1-params": "lp=1"}}


def numbered(count: int, height: int = 64, width: int = 64) -> np.ndarray:
    """(count, H, W, 3): the left half's grey tells the tens of the frame's number, the right half's the ones."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    for number in range(count):
        frames[number, :, : width // 2] = 20 + 22 * (number // 10)
        frames[number, :, width // 2 :] = 20 + 22 * (number % 10)
    return frames


def numbers(frames: np.ndarray) -> list[int]:
    """The reverse of ``numbered``."""
    left, right = np.split(frames.astype(float), 2, axis=2)
    tens, ones = (np.round((half.mean(axis=(1, 2, 3)) - 20) / 22) for half in (left, right))
    return (10 * tens + ones).astype(int).tolist()


def clip(frames, codec="libx264", form="mp4", fps=25, stamps=None, muxer=None, setup=None, **options) -> bytes:
    """The frames encoded by PyAV; ``stamps`` in ms for an uneven rate."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form, options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {**QUIET.get(codec, {}), **{name: str(value) for name, value in options.items()}}
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if setup:
            setup(stream)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if stamps is not None:
                picture.pts, picture.time_base = int(stamps[number]), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return buffer.getvalue()


def gif(frames, milliseconds=100) -> bytes:
    """The frames as GIF by Pillow, exact for a few greys."""
    pictures = [Image.fromarray(frame).quantize(16) for frame in frames]
    return saved(pictures[0], "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds)


def saved(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def sound() -> bytes:
    """An MP4 of a second of silence and nothing else."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for start in range(0, 16000, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def png(width, height, depth, colour, raw) -> bytes:
    """A PNG written by hand, for what Pillow cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def patched(data: bytes, box: bytes, offset: int, new: bytes) -> bytes:
    """MP4 bytes, ``new`` written ``offset`` bytes behind the box's name."""
    place = data.index(box) + 4 + offset
    return data[:place] + new + data[place + len(new) :]


def refused(source, name=None) -> str:
    """The sentence with which ``source`` is refused: one, clear, without folders, from whichever step."""
    with pytest.raises(MediaError) as caught:
        open_media(source, name).view()
    text = str(caught.value)
    assert text.endswith(".") and ". " not in text and "\n" not in text and 20 < len(text) < 220
    assert "/tmp" not in text and "Error" not in text and "errno" not in text.lower()
    return text


@pytest.fixture(scope="module")
def plain() -> bytes:
    """Four seconds of H.264 with a key frame every ten frames."""
    return clip(numbered(100), g=10, bf=2, sc_threshold=0)


# Clips

@pytest.mark.parametrize(
    ("codec", "form"),
    [
        ("libx264", "mp4"),
        ("libx264", "mov"),
        ("libx265", "mp4"),
        ("libsvtav1", "mp4"),
        ("libsvtav1", "webm"),
        ("libvpx-vp9", "webm"),
        ("libvpx", "webm"),
        ("mpeg4", "mov"),
    ],
)
def test_codecs(codec, form):
    media = open_media(clip(numbered(100), codec, form, g=24))
    assert (media.kind, media.width, media.height, media.frames) == ("clip", 64, 64, 100)
    assert media.fps == pytest.approx(25, abs=0.01) and media.duration == pytest.approx(4, abs=0.01)
    view = media.view()
    assert view.frames.shape == (16, 224, 224, 3) and view.frames.dtype == np.uint8
    # 2.56 s in the middle of 4 s: every fourth frame from the 20th on.
    assert numbers(view.frames) == list(range(20, 84, 4))
    assert view.times == pytest.approx([number / 25 for number in range(20, 84, 4)])


def test_gif():
    media = open_media(gif(numbered(30)))
    assert (media.kind, media.frames) == ("clip", 30) and media.duration == pytest.approx(3)
    assert numbers(media.view().frames) == [int((0.3 + 0.16 * step + 1e-6) / 0.1) for step in range(16)]


def test_still_and_transparent_gif():
    image = Image.new("P", (40, 30), 0)
    image.putpalette([0, 0, 0, 200, 30, 30])
    image.paste(1, (0, 0, 40, 15))
    media = open_media(saved(image, "GIF", transparency=0))
    view = media.view()
    assert (media.kind, media.frames, view.frames.shape) == ("clip", 1, (16, 224, 224, 3))
    assert np.abs(view.frames[7, 40, 112].astype(int) - [200, 30, 30]).max() < 4
    assert view.frames[7, 200, 112].min() == 255


def test_one_frame_is_repeated():
    media = open_media(clip(numbered(1) + 50))
    view = media.view()
    assert media.frames == 1 and view.frames.shape[0] == 16 and (view.frames == view.frames[:1]).all()


def test_few_frames_are_repeated_in_order():
    assert numbers(open_media(clip(numbered(4))).view().frames) == [n for n in range(4) for _ in range(4)]


@pytest.mark.parametrize("form", ["mp4", "webm"])
def test_uneven_frame_rate(form):
    stamps = np.cumsum([0] + [20, 20, 20, 300] * 24)[:96]
    codec = "libx264" if form == "mp4" else "libvpx-vp9"
    media = open_media(clip(numbered(96), codec, form, stamps=stamps, g=12))
    start = (media.duration - 2.56) / 2
    wanted = [start + 0.08 + 0.16 * step for step in range(16)]
    expected = [max(n for n in range(96) if stamps[n] / 1000 <= time + 1e-3) for time in wanted]
    assert numbers(media.view().frames) == expected
    assert media.fps == pytest.approx(96 / media.duration)


def test_without_a_duration_in_the_header():
    data = clip(numbered(50), "libvpx-vp9", "webm", muxer={"live": "1"}, g=24)
    with av.open(io.BytesIO(data)) as container:
        assert container.duration is None and container.streams.video[0].frames == 0
    media = open_media(data)
    assert media.frames == 50 and media.duration == pytest.approx(2, abs=0.01)


def test_windows_are_spread_over_the_clip(plain):
    media = open_media(plain)
    views = media.views(clips=3)
    assert [numbers(view.frames)[0] for view in views] == [2, 20, 38]
    assert [numbers(view.frames)[-1] for view in views] == [62, 80, 98]


def test_only_what_is_needed_is_decoded(plain, monkeypatch):
    reader = open_media(plain)._reader
    packet = [reader._packet_of[stamp] for stamp in reader._stamps]
    # From each key frame to the last frame wanted of its group; what lies between is passed over.
    assert reader._plan([45, 47, 51]) == [(40, max(packet[45], packet[47]), [45, 47]), (50, packet[51], [51])]
    assert reader._plan([48, 49, 50]) == [(40, packet[50], [48, 49, 50])]
    assert [run[0] for run in reader._plan([5, 45, 95])] == [0, 40, 90]
    seen = []
    monkeypatch.setattr(reader, "_check_side", lambda width, height: seen.append(width))
    frames = [reader.cut([number], [(0, 0, 64, 64)], 64)[number][0] for number in (95, 7, 30)]
    assert numbers(np.stack(frames)) == [95, 7, 30]
    assert len(seen) < 35


MATRICES = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0),
            (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]


@pytest.mark.parametrize("matrix", MATRICES)
def test_phones_turn_and_mirror(matrix):
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:32, :48], frame[:32, 48:], frame[32:, :48] = (220, 40, 40), (40, 200, 40), (40, 40, 220)
    a, b, c, d = matrix
    data = patched(clip(np.stack([frame] * 3)), b"tkhd", 40, struct.pack(
        ">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30))
    # The same by the definition: a pixel at (x, y) is shown at (ax + cy, bx + dy).
    y, x = np.indices((64, 96))
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    upright = np.zeros((down.max() + 1, across.max() + 1, 3), np.uint8)
    upright[down, across] = frame
    media = open_media(data)
    assert (media.height, media.width) == upright.shape[:2]
    for view in media.views(crops=3):
        x0, y0, x1, y1 = view.box
        expected = np.asarray(Image.fromarray(upright[y0:y1, x0:x1]).resize((224, 224)), float)
        assert np.abs(view.frames[0] - expected).mean() < 6


def test_pixels_that_are_not_square():
    frame = np.zeros((1, 64, 64, 3), np.uint8)
    frame[:, :, 16:48] = 255
    media = open_media(clip(frame, setup=lambda s: setattr(s.codec_context, "sample_aspect_ratio", Fraction(2))))
    assert (media.width, media.height) == (128, 64)
    assert media.view().frames.mean() > 245


def test_colours_of_a_clip_come_back():
    colours = np.array([[220, 40, 40], [40, 200, 40], [40, 40, 220], [230, 200, 30]], np.uint8)
    frames = np.repeat(np.repeat(colours.reshape(1, 2, 2, 3), 64, axis=1), 64, axis=2).repeat(2, axis=0)
    view = open_media(write_mp4(None, frames, 25)).view()
    seen = view.frames[0][[56, 56, 168, 168], [56, 168, 56, 168]].astype(int)
    assert np.abs(seen - colours).max() <= 4


# Photos

def colour_at_centre(data, **options) -> list[int]:
    return open_media(data, **options).view().frames[0, 112, 112].tolist()


GREY = Image.new("L", (32, 32), 77)
HALF = Image.new("RGBA", (32, 32), (200, 0, 0, 51))  # a fifth of red on white


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        (saved(Image.new("RGB", (32, 32), (10, 120, 230)), "PNG"), (10, 120, 230)),
        (saved(Image.new("RGB", (32, 32), (10, 120, 230)), "WEBP", lossless=True), (10, 120, 230)),
        (saved(Image.new("RGB", (32, 32), (10, 120, 230)), "JPEG", quality=98, subsampling=0), (10, 120, 230)),
        (saved(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=98), (255, 0, 0)),
        (saved(GREY, "PNG"), (77, 77, 77)),
        (saved(GREY, "JPEG"), (77, 77, 77)),
        (saved(Image.new("1", (32, 32), 1), "PNG"), (255, 255, 255)),
        (saved(Image.new("LA", (32, 32), (0, 51)), "PNG"), (204, 204, 204)),
        (saved(HALF, "PNG"), (244, 204, 204)),
        (saved(HALF, "WEBP", lossless=True), (244, 204, 204)),
        (saved(Image.new("RGB", (32, 32), (9, 200, 7)).quantize(4), "PNG"), (9, 200, 7)),
        (saved(Image.new("P", (32, 32), 0), "PNG", transparency=0), (255, 255, 255)),
        (saved(Image.new("RGB", (32, 32), (9, 9, 9)), "PNG", transparency=(9, 9, 9)), (255, 255, 255)),
        (saved(Image.fromarray(np.full((32, 32), 40000, np.uint16)), "PNG"), (156, 156, 156)),
        (png(32, 32, 16, 2, (b"\0" + struct.pack(">3H", 65535, 25700, 0) * 32) * 32), (255, 100, 0)),
        (png(32, 32, 16, 4, (b"\0" + struct.pack(">2H", 0, 13107) * 32) * 32), (204, 204, 204)),
        (Image.fromarray(np.full((32, 32), 40000, np.int32)), (156, 156, 156)),
        (Image.new("HSV", (32, 32), (0, 255, 255)), (255, 0, 0)),
    ],
)
def test_modes_become_rgb(data, colour):
    assert np.abs(np.subtract(colour_at_centre(data), colour)).max() <= 2


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (256, 1))
    seen = open_media(saved(Image.fromarray(ramp), "PNG")).view().frames[0, 128, :, 0].astype(int)
    assert np.abs(seen - np.arange(256)).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_exif_rotation(form, orientation):
    pixels = np.full((240, 320, 3), 30, np.uint8)
    pixels[:120, :160], pixels[120:, 160:], pixels[:40, 280:] = (230, 30, 30), (30, 30, 230), (240, 240, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(pixels), form, exif=exif, quality=95)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    media = open_media(data)
    assert (media.width, media.height) == upright.size
    for view in media.views(crops=3):
        assert np.abs(view.frames[0].astype(int) - np.asarray(upright.crop(view.box)).astype(int)).max() <= 2


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_first_frame_of_an_animation(form):
    red, blue = (Image.new("RGB", (32, 32), colour) for colour in ((220, 20, 20), (20, 20, 220)))
    media = open_media(saved(red, form, save_all=True, append_images=[blue, red], lossless=True, duration=50))
    assert (media.kind, media.frames, media.fps, media.duration) == ("image", 1, 0.0, 0.0)
    assert np.abs(np.subtract(media.view().frames[0, 100, 100], (220, 20, 20), dtype=int)).max() <= 2


def test_several_pictures_in_one_jpeg():
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ((220, 20, 20), (20, 20, 220)))
    seen = colour_at_centre(saved(red, "MPO", save_all=True, append_images=[blue]))
    assert np.abs(np.subtract(seen, (220, 20, 20))).max() <= 4


def test_a_large_jpeg_is_cut_as_a_small_one():
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 255, (12, 20, 3), dtype=np.uint8)).resize((3000, 1800))
    view = open_media(saved(rough, "JPEG", quality=95)).view()
    expected = np.asarray(rough.crop(view.box).resize((512, 512), Image.Resampling.BICUBIC), float)
    assert view.box == (600, 0, 2400, 1800) and np.abs(view.frames[0] - expected).mean() < 2


# What is refused

def test_what_is_not_there(tmp_path):
    assert '"gone.jpg" does not exist' in refused(tmp_path / "gone.jpg")
    assert "does not exist" in refused(str(tmp_path / "gone" / "photo.jpg"))
    assert "is a folder" in refused(tmp_path)
    assert "cannot be read" in refused("a\0b.jpg")
    assert "cannot be read" in refused("x" * 5000)
    assert "is no media" in refused(3.5)


def test_without_permission(tmp_path, monkeypatch):
    path = tmp_path / "secret.png"
    path.write_bytes(saved(GREY, "PNG"))

    def forbidden(*_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(media_file, "open", forbidden, raising=False)  # root may read everything
    assert '"secret.png" may not be read' in refused(path)


def test_empty_and_too_large(tmp_path):
    (tmp_path / "empty.jpg").touch()
    assert '"empty.jpg" is empty' in refused(tmp_path / "empty.jpg")
    assert "is empty" in refused(b"")
    with open(tmp_path / "huge.mp4", "wb") as file:
        file.truncate(LIMITS.upload_bytes + 1)
    assert "50 MB" in refused(tmp_path / "huge.mp4")
    assert "50 MB" in refused(bytes(LIMITS.upload_bytes + 1))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"just some words\n" * 9, "is text"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"BM" + bytes(60), "a BMP picture"),
        (b"II*\0" + bytes(60), "a TIFF picture"),
        (b"\0\0\0\x18ftypheic" + bytes(60), "a HEIC picture"),
        (b"\0\0\0\x18ftypavif" + bytes(60), "an AVIF picture"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI video"),
        (bytes(range(200, 256)) + bytes(60), "of an unknown kind"),
    ],
)
def test_other_kinds(data, what):
    text = refused(data, "photo.jpg")
    assert what in text and "JPEG, PNG, WebP" in text and text.startswith('"photo.jpg"')


NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (80, 80, 3), dtype=np.uint8))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.002, 0.1, 0.5, 0.9])
def test_photos_that_are_cut_off(form, share):
    data = saved(NOISE, form)
    text = refused(data[: max(12, int(len(data) * share))], "cut.jpg")
    assert "cut off" in text or "damaged" in text


def test_damaged_photos():
    for form in ("JPEG", "PNG", "WEBP"):
        data = bytearray(saved(NOISE, form))
        data[20:60] = bytes(40)
        assert "damaged" in refused(bytes(data))


@pytest.mark.parametrize("size", [(20000, 20000), (7000, 7000), (60000, 700)])
def test_a_bomb_is_never_decoded(size, monkeypatch):
    width, height = size
    data = png(width, height, 1, 0, bytes((width // 8 + 1) * height))
    assert len(data) < 400_000
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    assert "40 megapixels" in refused(data, "bomb.png")


def test_small_ones():
    for size in ((1, 1), (15, 300)):
        assert "at least 16" in refused(saved(Image.new("RGB", size), "PNG"))
    assert "at least 16" in refused(saved(Image.new("P", (1, 1)), "GIF"))
    assert "at least 16" in refused(clip(numbered(2, 8, 64)))
    assert open_media(saved(Image.new("RGB", (16, 16)), "PNG")).view().frames.shape == (1, 224, 224, 3)


@pytest.mark.parametrize("flags", ["", "faststart", "frag_keyframe+empty_moov"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_mp4s_that_are_cut_off(flags, share, tmp_path):
    frames = np.random.default_rng(2).integers(0, 255, (12, 64, 64, 3), dtype=np.uint8)
    path = tmp_path / "whole.mp4"
    with av.open(str(path), "w", options={"movflags": flags} if flags else {}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height = stream.width = 64
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    data = path.read_bytes()
    assert open_media(data).frames == 12
    assert "cut off" in refused(data[: int(len(data) * share)])


def test_clips_without_a_picture():
    assert "sound but no picture" in refused(sound(), "song.mp4")


def test_codecs_that_are_not_read():
    for codec, form in (("magicyuv", "mov"), ("ffv1", "matroska"), ("mjpeg", "mov")):
        picture = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        data = clip(numbered(2), codec, form, setup=lambda s, p=picture: setattr(s, "pix_fmt", p))
        text = refused(data)
        assert codec in text and "H.264" in text
    unknown = clip(numbered(2)).replace(b"avc1", b"zzzz")
    assert "codec" in refused(unknown)


def test_clips_without_time():
    data, zero = clip(numbered(10), "mpeg4", "mov"), bytes(4)
    for box, offset in ((b"stts", 12), (b"mdhd", 16), (b"mvhd", 16), (b"tkhd", 20)):
        data = patched(data, box, offset, zero)
    assert "0 seconds" in refused(data)
    empty = io.BytesIO()
    with av.open(empty, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height = stream.width = 64
        container.start_encoding()
    assert "no frame" in refused(empty.getvalue()) or "no picture" in refused(empty.getvalue())


def test_clips_that_are_too_long(monkeypatch):
    long = clip(numbered(70), fps=1, bf=0)
    assert "longer than 60 s" in refused(long)
    lying = patched(patched(long, b"mdhd", 16, struct.pack(">I", 1000)), b"mvhd", 16, struct.pack(">I", 1000))
    assert "longer than 60 s" in refused(lying)
    assert open_media(clip(numbered(60), fps=1)).duration == pytest.approx(60)
    monkeypatch.setattr(media_clip, "LIMITS", dataclasses.replace(LIMITS, clip_frames=20))
    assert "more than 20 frames" in refused(clip(numbered(30)))


def test_clips_that_are_too_large():
    assert "4096 pixels a side" in refused(clip(np.zeros((1, 16, 4112, 3), np.uint8), preset="ultrafast"))
    giant = bytearray(gif(numbered(2)))
    giant[6:10] = struct.pack("<HH", 20000, 20000)
    assert "4096 pixels a side" in refused(bytes(giant))


def test_headers_that_tell_another_size():
    large = clip(np.zeros((1, 4112, 4112, 3), np.uint8), preset="ultrafast")
    sizes = struct.pack(">HH", 4112, 4112)
    assert large.count(sizes) == 1
    assert "4096 pixels a side" in refused(large.replace(sizes, struct.pack(">HH", 64, 64)))


def test_damaged_clips(plain):
    data = bytearray(plain)
    begin = data.index(b"mdat") + 8
    data[begin : begin + 3000] = b"\xff" * 3000
    assert "damaged" in refused(bytes(data)) or "cannot be decoded" in refused(bytes(data))


def test_bytes_at_random_never_escape(plain):
    rng = np.random.default_rng(3)
    for data in (plain, gif(numbered(5)), saved(NOISE, "JPEG"), saved(NOISE, "PNG"), saved(NOISE, "WEBP")):
        for _ in range(12):
            spoiled = bytearray(data)
            for place in rng.integers(12, len(data), 25):
                spoiled[place] = rng.integers(256)
            try:
                open_media(bytes(spoiled)).view()
            except MediaError as error:
                assert str(error).endswith(".")


# Media and View

def test_content_decides_and_not_the_name(tmp_path, plain):
    (tmp_path / "clip.jpg").write_bytes(plain)
    (tmp_path / "photo.mp4").write_bytes(saved(GREY, "PNG"))
    assert open_media(tmp_path / "clip.jpg").kind == "clip"
    photo = open_media(str(tmp_path / "photo.mp4"))
    assert (photo.kind, photo.name) == ("image", "photo.mp4")
    assert photo.sha256 == open_media(saved(GREY, "PNG")).sha256 != open_media(plain).sha256


def test_names_are_fit_for_a_sentence():
    assert '"b.jpg" is empty' in refused(b"", "C:\\Users\\me\\b.jpg")
    assert '"ab.jpg" is empty' in refused(b"", "/far/away/a\nb.jpg")
    assert len(refused(b"", "x" * 500 + ".jpg")) < 200


def test_arrays_and_pil_images():
    frames = numbered(100)
    media = open_media(frames)
    assert (media.kind, media.frames, media.fps, media.duration) == ("clip", 100, 25.0, 4.0)
    assert numbers(media.view().frames) == list(range(20, 84, 4))
    photo = open_media(frames[3], "three")
    assert (photo.kind, photo.name, photo.view().frames.shape) == ("image", "three", (1, 224, 224, 3))
    assert photo.sha256 != open_media(frames[4]).sha256
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = open_media(Image.open(io.BytesIO(saved(Image.new("RGB", (40, 20)), "JPEG", exif=exif))))
    assert (turned.kind, turned.width, turned.height) == ("image", 20, 40)
    for wrong in (frames.astype(float), frames[..., 0], np.zeros((0, 9, 3), np.uint8)):
        assert "uint8 RGB" in refused(wrong)
    assert "at least 16" in refused(frames[:, :8])
    assert "1500 frames" in refused(np.zeros((1501, 16, 16, 3), np.uint8))


def test_sizes_of_views(plain):
    def side(width, height, size=None):
        return open_media(np.zeros((height, width, 3), np.uint8)).views(size=size)[0].frames.shape[1]

    assert [side(900, 700), side(300, 900), side(100, 900), side(301, 900)] == [512, 300, 224, 300]
    assert [side(900, 700, 1024), side(2000, 1500, 1024), side(900, 700, 224)] == [700, 1024, 224]
    with pytest.raises(SettingsError, match="224 to 1024"):
        side(900, 700, 2000)
    media = open_media(plain)
    for wrong in ({"clips": 0}, {"clips": 11}, {"clips": 1.5}, {"crops": 2}):
        with pytest.raises(SettingsError):
            media.views(**wrong)
    large = open_media(np.zeros((3, 1024, 1024, 3), np.uint8))
    with pytest.raises(SettingsError, match="fewer"):
        large.views(clips=10, crops=3, size=1024)


def test_crops():
    assert square_boxes(100, 60, 1) == [(20, 0, 80, 60)]
    assert square_boxes(100, 60, 3) == [(0, 0, 60, 60), (20, 0, 80, 60), (40, 0, 100, 60)]
    assert square_boxes(60, 100, 3) == [(0, 0, 60, 60), (0, 20, 60, 80), (0, 40, 60, 100)]
    wide = np.zeros((300, 900, 3), np.uint8)
    wide[:, 300:600], wide[:, 600:] = 100, 200
    views = open_media(wide).views(crops=3)
    assert [int(view.frames.mean()) for view in views] == [0, 100, 200]
    assert len(open_media(numbered(100)).views(clips=5, crops=3)) == 15


@pytest.mark.parametrize("fps", [10, 24, 25, 30, 60, 240])
@pytest.mark.parametrize("clips", [1, 2, 5])
def test_windows_at_any_rate(fps, clips):
    times = np.arange(int(8 * fps)) / fps
    for window in sample_windows(times, 8.0, clips):
        assert len(window) == 16 and (np.diff(window) >= 0).all()
        assert np.abs(np.diff(times[window]) - 0.16).max() <= 1 / fps + 1e-9
    if clips == 1:
        assert abs(times[sample_windows(times, 8.0, 1)[0]].mean() - 4) <= 1 / fps
    assert sample_windows(np.arange(16) / 25, 16 / 25, 1) == [list(range(16))]


def test_pixels():
    view = open_media(numbered(100)).view()
    pixels = view.pixels()
    assert pixels.shape == (1, 3, 16, 224, 224) and str(pixels.dtype) == "torch.float32"
    assert np.allclose(pixels[0].permute(1, 2, 3, 0).numpy() * 255, view.frames)
    checks = np.indices((512, 512)).sum(0) % 2 * 255
    photo = open_media(np.repeat(checks[..., None], 3, 2).astype(np.uint8)).view()
    small = photo.pixels(224)
    assert small.shape == (1, 3, 1, 224, 224) and 0 <= small.min() and small.max() <= 1
    assert (small[..., 20:-20, 20:-20] - 0.5).abs().max() < 0.05  # antialiased: no moiré


# Writers and examples

def test_write_png(tmp_path):
    frame = np.asarray(NOISE)
    data = write_png(tmp_path / "a.png", frame)
    assert (tmp_path / "a.png").read_bytes() == data == write_png(None, frame)
    assert (np.asarray(Image.open(io.BytesIO(data))) == frame).all()
    with pytest.raises(SettingsError):
        write_png(None, frame / 255)


def test_write_mp4(tmp_path):
    rng = np.random.default_rng(4)
    rough = rng.integers(0, 255, (8, 6, 6, 3), dtype=np.uint8)
    frames = np.stack([np.asarray(Image.fromarray(frame).resize((96, 64))) for frame in rough])
    data = write_mp4(tmp_path / "a.mp4", frames, 6.25)
    assert (tmp_path / "a.mp4").read_bytes() == data
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 6.25)
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
        back = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    assert back.shape == frames.shape and np.abs(back.astype(float) - frames).mean() < 6
    for wrong in (frames[:, :63], frames[:, :, :95], frames[0], frames / 255):
        with pytest.raises(SettingsError):
            write_mp4(None, wrong, 25)
    for fps in (0, -1, 1000, float("nan")):
        with pytest.raises(SettingsError):
            write_mp4(None, frames, fps)


def test_limits_in_one_line():
    assert LIMITS.sentence() == (
        "Photos: JPEG, PNG, WebP, up to 40 megapixels. Clips: MP4, WebM, MOV, GIF, up to 60 s and 4096 px a "
        "side. Files up to 50 MB."
    )


@pytest.mark.parametrize("name", ["parachute.mp4", "golf_ball.mp4"])
def test_examples(name):
    path = EXAMPLES / name
    media = open_media(path)
    assert (media.kind, media.width, media.height, media.frames) == ("clip", 384, 288, 72)
    assert path.stat().st_size < 400_000 and media.fps == pytest.approx(24)
    assert media.view().frames.std() > 20
