"""Sequences like those of speech, made: words of sung vowels, by many voices, as log spectra.

No file, any size: the data set's name carries its options, ``vowels`` or, say,
``vowels:words=20,noise=0.5,seed=3``.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.batches.examples import ARRAYS, ExampleData, describe_examples
from scaling.data.batches.options import parse_options, with_options

# Mean formants of ten vowels of 33 men in Hz: Peterson and Barney 1952, table II.
FORMANTS = np.array(
    [
        (270, 2290, 3010),  # heed
        (390, 1990, 2550),  # hid
        (530, 1840, 2480),  # head
        (660, 1720, 2410),  # had
        (730, 1090, 2440),  # hod
        (570, 840, 2410),  # hawed
        (440, 1020, 2240),  # hood
        (300, 870, 2240),  # who'd
        (640, 1190, 2390),  # hud
        (490, 1350, 1690),  # heard
    ],
    float,
)
BANDWIDTHS = np.array([60.0, 90.0, 120.0])  # Hz, of the three resonances
STEPS = 64  # inputs are whole multiples of 1/64
BLOCK = 4096  # examples made at once


@dataclass(frozen=True)
class Vowels:
    """Words are sequences of vowels; a voice sets their pitch of formants, tempo and loudness.

    Parameters
    ----------
    words : int
        Classes: different sequences of ``length`` vowels, no vowel twice in a row.
    length : int
        Vowels of a word.
    frames, bands : int
        Of an example: log energies in ``bands`` bands of equal width on the mel scale, 100 to
        4000 Hz, at ``frames`` times.
    examples, heldout : int
        Examples to train on and held out. The held-out ones do not depend on ``examples``.
    noise : float
        Standard deviation of what is added to each log energy, in nepers.
    seed : int
        Of words, voices and noise.

    Notes
    -----
    A frame's energy at frequency f is the product of three resonances
    1 / (1 + ((f - F_i) / B_i)^2), less 6 dB an octave. A voice multiplies all formants by a factor
    of exp(N(0, 0.1)) (the length of the vocal tract), stretches time unevenly, glides from one
    vowel to the next and starts anywhere in the first eighth.
    """

    words: int = 10
    length: int = 3
    frames: int = 48
    bands: int = 20
    examples: int = 20_000
    heldout: int = 4_000
    noise: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "words": (2, 1000),
            "length": (1, 10),
            "frames": (8, 1024),
            "bands": (4, 128),
            "examples": (1, 10**7),
            "heldout": (1, 10**7),
            "noise": (0, 100),
            "seed": (0, 2**63),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"vowels: {name}={getattr(self, name)} must be between {low} and {high}"
                )
        different = len(FORMANTS) * (len(FORMANTS) - 1) ** (self.length - 1)
        if self.words > different:
            raise ValueError(
                f"vowels: words={self.words} of length={self.length}: there are {different}; take "
                "longer ones"
            )


def generate(options: str) -> ExampleData:
    """The examples with these options."""
    return _generate(parse_options("vowels", Vowels, options))


@lru_cache(maxsize=2)
def _generate(vowels: Vowels) -> ExampleData:
    words = _words(vowels)
    arrays: dict[str, NDArray[Any]] = {}
    for stream, side, count in ((1, "heldout", vowels.heldout), (2, "train", vowels.examples)):
        random = _random(vowels.seed, stream)
        labels = random.integers(0, vowels.words, count)
        blocks = [
            _spectra(vowels, words[labels[start : start + BLOCK]], random)
            for start in range(0, count, BLOCK)
        ]
        arrays[f"{side}_inputs"] = np.concatenate(blocks)
        arrays[f"{side}_labels"] = labels.astype(np.int64)
    whole = hashlib.sha256(repr(sorted(asdict(vowels).items())).encode())
    for key in ARRAYS:
        arrays[key].flags.writeable = False
        whole.update(arrays[key].tobytes())
    info = describe_examples(with_options("vowels", vowels), arrays, whole.hexdigest()[:16])
    return ExampleData(info, **arrays)


def _words(vowels: Vowels) -> NDArray[np.int64]:
    """Different sequences ``(words, length)``."""
    random, found = _random(vowels.seed, 0), dict[tuple[int, ...], None]()
    while len(found) < vowels.words:
        word = [int(random.integers(len(FORMANTS)))]
        while len(word) < vowels.length:
            step = int(random.integers(1, len(FORMANTS)))
            word.append((word[-1] + step) % len(FORMANTS))
        found[tuple(word)] = None
    return np.array(list(found))


def _spectra(
    vowels: Vowels, words: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.float32]:
    """Log energies ``(n, frames, bands)`` of words ``(n, length)``, each by a voice of its own."""
    n, length = words.shape
    voice = np.exp(0.1 * random.standard_normal((n, 1, 1)))
    loud = random.standard_normal((n, 1, 1))
    start = random.uniform(0, 1 / 8, (n, 1))
    ends = np.cumsum(random.uniform(0.5, 1.5, (n, length)), axis=1)
    ends = start + (1 - start) * ends / ends[:, -1:]
    time = (np.arange(vowels.frames) + 0.5) / vowels.frames
    middles = (np.concatenate([start, ends[:, :-1]], axis=1) + ends) / 2
    log_formants = np.log(FORMANTS)[words]  # n, length, 3
    tracks = np.empty((n, vowels.frames, 3))
    for row in range(n):
        for i in range(3):
            tracks[row, :, i] = np.interp(time, middles[row], log_formants[row, :, i])
    formants = voice * np.exp(tracks)  # n, frames, 3
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (100, 4000))
    mel = np.linspace(low, high, vowels.bands)
    centres = 700 * (10 ** (mel / 2595) - 1)
    off = (centres - formants[..., None]) / BANDWIDTHS[:, None]
    energy = -np.log1p(off**2).sum(axis=2) - 2 * np.log(centres / 500)
    sounds = (time >= start)[:, :, None]
    quiet = -20.0
    energy = np.where(sounds, np.logaddexp(energy + loud, quiet), quiet)
    energy += vowels.noise * random.standard_normal(energy.shape)
    rounded: NDArray[np.float32] = (np.rint(energy * STEPS) / STEPS).astype(np.float32)
    return rounded


def _random(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64((seed, stream)))
