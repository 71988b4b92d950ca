"""Encoders of one's own that look tokens up, as transformers do."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import nn

from labelwise import models
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.errors import InputError, ShapeError
from labelwise.models.inputs import Reader
from labelwise.models.texts import Tokens
from labelwise.seeds import generator

WORDS = ("", "salt", "sugar", "not")
TEXT = np.dtypes.StringDType()


def tokenise(texts):
    """Four tokens of each text; 0 fills up."""
    rows = [[WORDS.index(word) for word in text.split()][:4] for text in texts]
    return np.array([row + [0] * (4 - len(row)) for row in rows])


class Order(nn.Module):
    """A recurrent network over tokens: it sees their order, which hashed words hardly show."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(len(WORDS), 8, padding_idx=0)
        self.body = nn.GRU(8, 8, batch_first=True)

    def forward(self, x):
        assert x.shape[1:] == (4,)
        return self.body(self.words(x.long()))[1][0]


def encoder(shape):
    assert shape == (4,)
    return Order()


encoder.tokenise = tokenise


def recipes():
    """Sugar is class 1 unless "not" stands before it; beside it, numbers that tell nothing."""
    rng = generator(0, "test", "tokens")
    said = ["salt sugar", "salt not sugar", "sugar salt", "not sugar salt", "sugar not salt", "salt"]
    y = np.array([1, 0, 1, 0, 1, 0])
    pick = rng.integers(0, 6, 120)
    texts = np.array([said[k] for k in pick], TEXT)
    return ArrayDataset({"text": texts, "table": rng.standard_normal((120, 2))}), y[pick]


def test_tokens_keep_their_numbers_and_a_missing_text_is_an_empty_one():
    tokens = Tokens.of("text", tokenise)
    assert tokens.shape == (4,) and tokens.width == 4
    read = tokens.read("text", np.array(["sugar salt", "salt"], TEXT), np.array([False, True]))
    assert read.dtype == np.float32
    assert_array_equal(read, [[2, 1, 0, 0], [0, 0, 0, 0]])
    assert tokens.read("text", np.array([], TEXT), None).shape == (0, 4)
    with pytest.raises(ShapeError, match="must be text"):
        tokens.read("text", np.zeros((2, 3)), None)
    with pytest.raises(InputError, match="tokeniser, which cannot be stored"):
        Reader({"text": tokens}).state_dict()


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda texts: [[0.5]] * len(texts), "whole numbers"),
        (lambda texts: np.zeros((len(texts) + 1, 2), int), "of 1 it made"),
        (lambda texts: np.full((len(texts), 2), -1), "run from -1"),
        (lambda texts: np.full((len(texts), 2), 1 << 24), "16,777,216"),
    ],
)
def test_what_makes_no_tokens_is_refused(wrong, words):
    with pytest.raises(InputError, match=f"tokeniser of modality 'text'.*{words}"):
        Tokens.of("text", wrong)


def test_tokens_of_other_lengths_are_refused():
    ragged = Tokens.of("text", lambda texts: np.zeros((len(texts), 1 + max(map(len, texts))), int))
    with pytest.raises(
        InputError, match="same number of tokens of all texts, 1 as of an empty one; it made 5"
    ):
        ragged.read("text", np.array(["salt"], TEXT), None)


def test_an_encoder_with_a_tokeniser_learns_from_the_order_of_words():
    data, y = recipes()
    train, rest = Labelled(np.arange(80), y[:80]), np.arange(80, 120)
    recipe = models.make(
        "multimodal", encoders={"text": encoder}, projection=8, epochs=15, batch_size=16, lr=0.03, kl=0.0
    )
    fitted = recipe.fit(data, train, rest, None, 2, generator(0, "fit"))
    with torch.no_grad():
        told = fitted.infer(data, rest, frozenset({"modal_probs"})).modal_probs[:, 0]
    assert (told.argmax(1) == y[80:]).all()
