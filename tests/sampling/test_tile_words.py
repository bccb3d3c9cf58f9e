"""Words of a prompt, where a model looks for them, and which tiles they belong to."""

import pytest
import torch
from tilework.blending.coherence.word_coverage import words_of_tiles
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.pack import models
from tilework.tests.pack.coherence import scenes
from tilework.tests.pack.coherence.bed import HELD_OUT
from tilework.tests.pack.coherence.models import scene_model
from tilework.tests.pack.words import WordClip

from ..host.recording import (
    AttentionMaps,
    TileSettings,
    attention_maps,
    captioned,
    left_out_maps,
    noise,
    prompt_words,
    spaced_words,
    tile_words,
)
from ..host.recording import tiled_model as tiled

LAYOUT = TileLayout.grid(512, 512, 256, 256, 0)


class Clip:
    """What is asked of the host's CLIP, around one of its tokenizers."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def tokenize(self, text, **more):
        return self.tokenizer.tokenize_with_weights(text, **more)


@pytest.fixture(scope="module")
def flux_clip():
    import comfy.text_encoders.flux

    return Clip(comfy.text_encoders.flux.FluxTokenizer())


TEXT = "A Snow-covered mountain, (red sun:1.3) \\(old\\) over trees"


def test_words_of_clip(flux_clip):
    """77 tokens, of which the first is the beginning; "-" and "," go with the word before them."""
    found = prompt_words(flux_clip, TEXT, 77)
    said = ["a", "snow-covered", "mountain,", "(red:1.3)", "(sun:1.3)", "\\(old\\)", "over", "trees"]
    assert [word.text for word in found] == said
    places = [place for word in found for place in word.tokens]
    assert places == list(range(1, 1 + len(places)))


def test_what_stands_together_is_one_word(flux_clip):
    """CLIP cuts numbers into figures, and short forms in two."""
    found = prompt_words(flux_clip, "a 1984 car, 35mm photo \\(old\\) don't, a woman's hat", 77)
    assert [word.text for word in found] == ["a", "1984", "car,", "35mm", "photo", "\\(old\\)", "don't,", "a", "woman's", "hat"]


def test_words_of_t5(flux_clip):
    found = prompt_words(flux_clip, TEXT, 256)
    assert [word.text for word in found] == ["A", "Snow-covered", "mountain,", "(red:1.3)", "(sun:1.3)", "\\(old\\)", "over", "trees"]
    places = [place for word in found for place in word.tokens]
    assert places == list(range(len(places))) and max(len(word.tokens) for word in found) >= 3
    assert prompt_words(flux_clip, "", 256) == []
    # SD3 is given CLIP's 77 tokens first.
    assert prompt_words(flux_clip, TEXT, 77 + 256)[0].tokens == (77,)


def test_what_the_encoder_says_to_every_prompt_is_no_word():
    class Framed(WordClip):
        def tokenize(self, text, return_word_ids=False, **more):
            return super().tokenize(f"system say {text} assistant", return_word_ids, **more)

    found = prompt_words(Framed(), "a day scene", 6)
    assert [(word.text, word.tokens) for word in found] == [("a", (2,)), ("day", (3,)), ("scene", (4,))]


def test_encoders_that_do_not_tell_are_refused_in_words(flux_clip):
    with pytest.raises(ValueError, match=r"gives the model 100 tokens and its tokenizer tells of others \(77 of l, 256 of t5xxl\)"):
        prompt_words(flux_clip, TEXT, 100)

    class Mute(WordClip):
        def __init__(self):
            super().__init__()
            self.tokenizer.untokenize = lambda tokens: [(token, "x") for token in tokens]

    with pytest.raises(ValueError, match="do not tell where words begin"):
        prompt_words(Mute(), "a day", 4)


@pytest.mark.parametrize("joint", [False, True])
def test_maps_are_the_attentions_own(joint, monkeypatch):
    """Beside a softmax of all at once: two heads, 6 x 5 places, 7 text tokens, two pictures; in chunks of four places."""
    q, k = noise(2, 2, 30 + 7 * joint, 4), noise(2, 2, 30 + 7 if joint else 7, 4, seed=1)
    words = [(0, 2), (3,), (6,)]
    image, text = (q[:, :, 7:], k[:, :, :7]) if joint else (q, k)
    shares = (image @ text.transpose(2, 3) / 2).softmax(-1).mean((0, 1))
    expected = torch.stack([shares[:, list(word)].sum(1) for word in words]).view(3, 6, 5)
    monkeypatch.setattr("tilework.sampling.attention_maps.CHUNK", 4 * 2 * 2 * 7)
    maps = AttentionMaps(words, 7, (12, 10) if joint else (6, 5), 2 if joint else 1, joint)

    def attention(q, k, v, heads, **more):
        return "answer"

    answer = maps(attention, q, k, None, 2, skip_reshape=True)
    flat = [part.transpose(1, 2).flatten(2) for part in (q, k)]
    maps(attention, *flat, None, 2)
    assert answer == "answer" and len(maps.seen) == 2
    assert all((one - expected).abs().max() < 1e-6 for one in maps.seen)
    # What looks at itself, and a text of another length, tell nothing.
    maps(attention, noise(2, 2, 30, 4), noise(2, 2, 30, 4), None, 2, skip_reshape=True)
    maps(attention, noise(2, 2, 30, 4), noise(2, 2, 9, 4), None, 2, skip_reshape=True)
    assert len(maps.seen) == 2


def test_a_cancelled_look_stops_within_the_call():
    import comfy.model_management as management

    maps = AttentionMaps([(0,), (1,)], 7, (6, 5), 1, False)
    management.interrupt_current_processing(True)
    try:
        with pytest.raises(management.InterruptProcessingException):
            maps(lambda *given, **more: "answer", noise(2, 2, 30, 4), noise(2, 2, 7, 4), None, 2, skip_reshape=True)
    finally:
        management.interrupt_current_processing(False)
    assert not maps.seen


@pytest.mark.parametrize("method", ["auto", "left out"])
def test_more_words_than_can_be_looked_for_are_refused_before_the_model_is_called(method):
    text = " ".join(["day"] * 301)
    with pytest.raises(ValueError, match=r"the text has 301 words, .* use at most 300"):
        tile_words(None, WordClip(), text, noise(1, 4, 32, 32), LAYOUT, 0.3, 0.4, method)


@pytest.mark.parametrize(("kind", "channels"), [("unet", 4), ("dit", 16)])
def test_a_model_is_asked_once_and_nothing_is_left_on_it(kind, channels):
    model = models.tiny_unet() if kind == "unet" else models.tiny_dit()
    calls = []
    model.add_wrapper_with_key(
        "apply_model", "look", lambda executor, x, *args, **more: (calls.append(x.shape), executor(x, *args, **more))[1]
    )
    before = dict(model.model_options["transformer_options"])
    patched = tiled(model, TileSettings(128, 128, 32))
    found = [attention_maps(patched, models.conditioning(1), noise(1, channels, 32, 32), [(0,), (1, 2)], 0.4) for _ in range(2)]
    assert calls == [(1, channels, 32, 32)] * 2, "one picture, one prompt, no tiles"
    assert found[0].shape == ((2, 8, 8) if kind == "unet" else (2, 16, 16)) and torch.equal(*found)
    assert (found[0] > 0).all() and found[0].std((1, 2)).min() > 0
    after = dict(model.model_options["transformer_options"])
    assert before.keys() == after.keys() and "optimized_attention_override" not in after


@pytest.mark.parametrize(("kind", "channels"), [("unet", 4), ("dit", 16)])
def test_the_one_frame_of_a_video_models_latent_is_a_picture(kind, channels):
    model = models.tiny_unet() if kind == "unet" else models.tiny_dit()
    latent = noise(1, channels, 32, 32)
    flat, framed = (attention_maps(model, models.conditioning(1), one, [(0,), (1, 2)], 0.4) for one in (latent, latent.unsqueeze(2)))
    assert torch.equal(flat, framed)


def test_a_prompt_per_tile_and_the_whole_one_where_no_word_is(monkeypatch):
    clip, text = WordClip(), "a day scene b"
    seen = torch.zeros(4, 16, 16)
    seen[1, 8:], seen[2, :, 8:], seen[0, 0, 0] = 1, 1, 1
    monkeypatch.setattr("tilework.sampling.tile_words.attention_maps", lambda *given: seen)
    made = tile_words(None, clip, text, noise(1, 4, 32, 32), LAYOUT, 0.3, 0.4)
    assert made.texts == [text, "scene", "day", "day scene"]
    assert all(torch.equal(cond[0][0], clip.encode_from_tokens_scheduled(clip.tokenize(said))[0][0]) for cond, said in zip(made.conditioning, made.texts, strict=True))  # fmt: skip
    assert tile_words(None, clip, text, noise(1, 4, 32, 32), LAYOUT, 0.0, 0.4).texts == [text] * 4
    assert tile_words(None, clip, "", noise(1, 4, 32, 32), LAYOUT, 0.3, 0.4).texts == [""] * 4
    captions = [f"tile {n}" for n in range(4)]
    assert captioned(clip, captions, LAYOUT).texts == captions, "captions stay as they are"


def test_words_are_left_out_where_the_model_shows_nothing(monkeypatch):
    """A model that puts each word in a place of its own, and one whose attention cannot be read."""
    for text, split in (
        ("((red sun:1.2) hills:1.1) lake", ["((red sun:1.2) hills:1.1)", "lake"]),
        ("[red sun] (a (b c) d) e", ["[red sun]", "(a (b c) d)", "e"]),
        ("((red sun lake", ["((red", "sun", "lake"]),
        ("a) b \\( c", ["a)", "b", "\\(", "c"]),
        (" \n", []),
    ):
        assert spaced_words(text) == split
    assert spaced_words("a (red sun:1.3), over \\(old\\) hills") == ["a", "(red sun:1.3),", "over", "\\(old\\)", "hills"]
    places = {"sky": (slice(0, 16), slice(0, 32)), "sun": (slice(0, 10), slice(20, 30)), "lake": (slice(24, 32), slice(0, 32))}

    def seen(model, conditioning, latent, share):
        picture = torch.zeros(1, 4, 32, 32)
        for word, (rows, columns) in places.items():
            picture[..., rows, columns] += 0.5 * (word in conditioning.split())
        return picture

    model = models.conv_denoiser(0)
    with monkeypatch.context() as patch:
        patch.setattr("tilework.sampling.left_out_words.predicted", seen)
        maps = left_out_maps(model, str, ["sky", "sun", "lake"], noise(1, 4, 32, 32), 0.4)
    assert maps.shape == (3, 16, 16)
    for one, (rows, columns) in zip(maps, places.values(), strict=True):
        there = torch.zeros(32, 32)
        there[rows, columns] = 0.5
        assert torch.allclose(one, torch.nn.functional.avg_pool2d(there[None], 2)[0])
    latent, text = noise(1, 4, 32, 32), "a day scene b"
    auto, left = (tile_words(model, WordClip(), text, latent, LAYOUT, 0.3, 0.4, method) for method in ("auto", "left out"))
    assert auto.texts == left.texts and len(auto.texts) == 4


def test_tiles_without_the_sun_lose_its_word():
    """The trained transformer on drawn scenes: "day" is what tells it of a sun. Its attention does not show where, leaving the word out does."""
    model, clip, layout = scene_model("dit"), WordClip(), TileLayout.grid(768, 768, 256, 256, 64)
    kept = {True: [], False: []}
    for picture in scenes.drawn(6, 90 + HELD_OUT):
        red, green, blue = scenes.rgb(picture[None])[0]
        sun = ((red > 0.72) & (green > 0.55) & (red - blue > 0.33))[:14]  # above the ground: a yellow door is none
        sun = torch.nn.functional.pad(sun.float(), (0, 0, 0, 18)).repeat_interleave(24, 0).repeat_interleave(24, 1)
        with torch.inference_mode():
            maps = left_out_maps(
                model, lambda text: clip.encode_from_tokens_scheduled(clip.tokenize(text)), ["a", "day", "scene", "b"], picture[None], 0.8
            )
        for rect, words in zip(layout.tiles, words_of_tiles(maps, layout, 0.3), strict=True):
            kept[bool(sun[rect.y : rect.y + 256, rect.x : rect.x + 256].mean() > 0.02)].append(1 in words)
    there, elsewhere = (sum(kept[has]) / len(kept[has]) for has in (True, False))
    print(
        f"the sun's word is kept in {there:.0%} of {len(kept[True])} tiles that show it and in {elsewhere:.0%} of {len(kept[False])} others"
    )
    assert there >= 0.8 and elsewhere <= 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latent": torch.zeros(1, 4, 32, 32)}, "the latent is empty"),
        ({"latent": noise(1, 4, 32, 48)}, "has not the proportions of the layout's picture of 512 x 512"),
        ({"threshold": 1.5}, "threshold 1.5 is no share of a tile"),
        ({"share": 0.0}, "sigma 0.0 is no share of the sampling range"),
        ({"latent": noise(1, 4, 3, 32, 32)}, "the latent is a video of 3 frames"),
        ({"model": models.conv_denoiser, "method": "attention"}, "does not show where .* use method left out, or caption the tiles"),
        ({"method": "vlm"}, "use one of auto, attention, left out"),
    ],
)
def test_what_cannot_be_told_is_refused_in_words(change, words):
    given = {"model": models.tiny_unet, "latent": noise(1, 4, 32, 32), "threshold": 0.3, "share": 0.4, "method": "auto", **change}
    model = given["model"](0)
    with pytest.raises(ValueError, match=words):
        tile_words(model, WordClip(), "a day scene b", given["latent"], LAYOUT, given["threshold"], given["share"], given["method"])
    with pytest.raises(ValueError, match="2 texts came for 4 tiles"):
        captioned(WordClip(), ["one", "two"], LAYOUT)
