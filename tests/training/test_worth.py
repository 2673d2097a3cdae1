"""Monte-Carlo worth: it finds the tokens that decide; and what is collected for the scorer."""

import pytest
import torch

from focusmae.segments.descriptors import DESCRIPTORS
from focusmae.segments.superpixels import SCALES, Superpixels
from focusmae.training.data import Reader, read_items, step_generator
from focusmae.training.scorer import centred
from focusmae.training.segmented import CutPhotos
from focusmae.training.worth import activation, collect, load_rows, token_worth
from tests.tiny import make_classifier


class OneTokenDecides:
    """Says class 1 for sure where token 77 is visible, and is undecided between two classes elsewhere."""

    def logits(self, pixels, visible):
        assert pixels.shape == (len(visible), 3, 1, 224, 224)
        return torch.stack([torch.zeros(len(visible)), 30.0 * (visible == 77).any(1)], dim=1)


def test_the_token_that_decides_is_worth_most():
    pixels = torch.rand(1, 3, 1, 224, 224)
    worths = torch.stack([token_worth(OneTokenDecides(), pixels, 1, step_generator(seed)) for seed in range(40)])
    assert worths.shape == (40, 196) and worths.isfinite().all()
    seen = worths[:, 77] != 0  # in some of the forty it is never drawn
    assert seen.sum() > 30
    # With it log 1, without it log 1/2.
    torch.testing.assert_close(worths[seen, 77], torch.full((int(seen.sum()),), 0.6931472), rtol=1e-4, atol=0)
    others = torch.cat([worths[:, :77], worths[:, 78:]], dim=1).mean(0)
    assert others.abs().max() < 0.35 and abs(others.mean()) < 0.05
    wrong = token_worth(OneTokenDecides(), pixels, 0, step_generator(0))
    assert wrong[77] < -5


@pytest.fixture(scope="module")
def collected(folder, tmp_path_factory):
    items = [item for item in read_items([folder], "train") if not item.is_clip]
    reader = Reader(items, ["cat", "person"])
    photo, clip = (make_classifier(labels=["cat", "person"], seed=seed) for seed in range(2))
    out, said, used = tmp_path_factory.mktemp("collected"), [], []

    class Noted(Superpixels):
        def __call__(self, view, text=None):
            used.append(self.stop)
            return super().__call__(view, text)

    cuts = [Noted(stop) for stop in SCALES]

    def go():
        return collect(out, CutPhotos(reader, [3, 0], cuts), photo, clip, 2, 0, said.append)

    files = go()
    stamps = [file.stat().st_mtime_ns for file in files]
    assert go() == files and [file.stat().st_mtime_ns for file in files] == stamps and len(said) == 1
    assert len(used) == 2 and set(used) <= set(SCALES)
    return reader, photo, clip, files


def test_rows_of_photos(collected):
    reader, photo, _, files = collected
    rows = load_rows(files, "photo")
    for number, place in enumerate((3, 0)):
        picture, label = reader[place]
        assert torch.equal(rows["picture"][number], picture) and rows["label"][number] == label
        pixels = (picture.float() / 255)[None, :, None]
        with torch.inference_mode():
            torch.testing.assert_close(rows["features"][number], photo.features(pixels)[0].half(), rtol=0, atol=2e-2)
            torch.testing.assert_close(
                rows["embeddings"][number], photo.encoder.embed(pixels)[0].half(), rtol=0, atol=2e-2
            )
    assert rows["descriptors"].shape == (2, 196, len(DESCRIPTORS)) and rows["owners"].shape == (2, 196)
    assert (rows["descriptors"][..., DESCRIPTORS.index("motion")] == 0).all() and rows["worth"].std() > 0
    assert rows["owners"].max() >= 2 and rows["owners"].max() <= 64


def test_rows_of_clips_glide_with_their_photo(collected):
    _, _, _, files = collected
    rows, photos = load_rows(files, "clip"), load_rows(files, "photo")
    assert rows["worth"].shape == (1, 1568) and rows["label"][0] == photos["label"][0]
    assert rows["features"].shape == (1, 1568, 24) and rows["owners"].shape == (1, 1568)
    assert rows["descriptors"][..., DESCRIPTORS.index("motion")].max() > 0
    worth, whole = rows["worth"][0].view(8, 14, 14), photos["worth"][0]
    assert worth.min() >= whole.min() - 1e-5 and worth.max() <= whole.max() + 1e-5
    assert (worth[0] != worth[7]).any() and worth.std() > 0.2 * whole.std()
    assert set(rows["owners"][0].tolist()) <= {0, *range(1, int(photos["owners"].max()) + 65)}


def test_without_a_label_the_classifier_says_what_is_there(collected, tmp_path):
    reader, photo, clip, _ = collected

    class Unlabelled(CutPhotos):
        def example(self, number, draws):
            picture, _, segments = super().example(number, draws)
            return picture, -1, segments

    files = collect(tmp_path, Unlabelled(reader, [3, 0], [Superpixels()]), photo, clip, 1, 0, print)
    rows, clips = load_rows(files, "photo"), load_rows(files, "clip")
    with torch.inference_mode():
        said = photo.logits((rows["picture"].float() / 255).unsqueeze(2)).argmax(-1)
    assert torch.equal(rows["label"], said) and torch.equal(clips["label"], said)


def test_no_clips_where_none_were_asked_for(collected):
    assert load_rows([], "clip") == {}
    assert set(load_rows(collected[3], "clip")) == {"worth", "label", "features", "embeddings", "descriptors", "owners"}


def test_centred():
    values = torch.tensor([[1, 2, 3], [4, 4, 10]])
    assert centred(values).tolist() == [[-1, 0, 1], [-2, -2, 4]]


def test_activation_is_what_a_little_more_of_a_token_would_add():
    model, exact = (make_classifier(labels=["a", "b", "c"]) for _ in range(2))
    torch.manual_seed(0)
    features, label = torch.randn(2, 5, model.config.width), torch.tensor([2, 0])
    torch.nn.init.normal_(model.head.weight)
    exact.load_state_dict(model.state_dict())
    exact.double()

    def value(tokens):
        return exact.head_logits(tokens).log_softmax(-1).gather(1, label[:, None])[:, 0]

    found = activation(model, features, label)
    for token in range(5):
        more = features.double().clone()
        more[:, token] *= 1.0001
        gain = 5 * (value(more) - value(features.double())) / 0.0001
        torch.testing.assert_close(found[:, token].double(), gain, rtol=0.01, atol=1e-3)
    assert found.std() > 0.1
