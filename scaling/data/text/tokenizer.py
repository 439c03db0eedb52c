"""Text to tokens: bytes as they are, byte-level BPE, or tokens that came as such."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scaling.base import note
from scaling.data.text.sources import Document

SEPARATOR = "<|endoftext|>"
TOKENIZER_FILE = "tokenizer.json"
WIDTH = np.dtype("<u4")
PIECE = 1 << 20  # characters split into words at once
MOST_WORDS = 1 << 20  # words whose tokens are remembered

# Words are split off as by GPT-2 (Radford et al. 2019, its encoder.py), with explicit ranges in
# place of Unicode classes, so that Python's engine and the library's agree on every character.
_SPACE = " \t\n\r\f\v"
_LETTER = "A-Za-z\u00aa-\u1fff\u2070-\u2fff\u3040-\ufeff\U00010000-\U0010ffff"
WORDS = re.compile(
    f"'(?:s|t|re|ve|m|ll|d)| ?[{_LETTER}]+| ?[0-9]+| ?[^{_SPACE}0-9{_LETTER}]+"
    f"|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]+"
)
WORD_END = re.compile(f"(?<=[^{_SPACE}])[{_SPACE}]")


class Tokenizer(Protocol):
    """Documents to tokens, a separator after each document where there is one."""

    @property
    def kind(self) -> str:
        """What a data set's ``tokenizer`` is called."""

    @property
    def vocab_size(self) -> int:
        """Number of tokens; the largest is one less."""

    def encode(self, documents: Sequence[Document]) -> list[NDArray[np.unsignedinteger]]:
        """One array of tokens per document."""


class ByteTokenizer:
    """A token is a byte, 0 to 255; byte 0 separates documents."""

    kind = "bytes"
    vocab_size = 256

    def encode(self, documents: Sequence[Document]) -> list[NDArray[np.unsignedinteger]]:
        """One array of tokens per document, its separator at the end."""
        return [np.frombuffer(bytes(document) + b"\0", np.uint8) for document in documents]


class ShardTokenizer:
    """Tokens that came as such; nothing is added."""

    kind = "shards"

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def encode(self, documents: Sequence[Document]) -> list[NDArray[np.unsignedinteger]]:
        """The documents themselves."""
        return [np.asarray(document) for document in documents]


class Decoder:
    """Bytes to text, as UTF-8; other bytes become U+FFFD, which is said once."""

    def __init__(self) -> None:
        self._said = False

    def __call__(self, document: bytes) -> str:
        """The text."""
        try:
            return document.decode()
        except UnicodeDecodeError as error:
            if not self._said:
                note(f"a document is not UTF-8 ({error}): such bytes become U+FFFD from here on")
                self._said = True
            return document.decode(errors="replace")


class BPETokenizer:
    """Byte-level BPE by the ``tokenizers`` library; token 0 separates documents.

    Bytes that are not UTF-8 become U+FFFD: the library takes text only. The library encodes
    each distinct word once; looking up words is several times faster than having it encode
    whole documents, and gives the same tokens.
    """

    kind = "bpe"

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer as Library

        self._library: Any = Library.from_file(str(path))
        self.vocab_size: int = self._library.get_vocab_size()
        self._words: dict[str, bytes] = {}
        self._decoder = Decoder()

    def encode(self, documents: Sequence[Document]) -> list[NDArray[np.unsignedinteger]]:
        """One array of tokens per document, its separator at the end."""
        return [self._encode(bytes(document)) for document in documents]

    def _encode(self, document: bytes) -> NDArray[np.unsignedinteger]:
        parts = [self._tokens(text) for text in pieces(self._decoder(document))]
        return np.frombuffer(b"".join([*parts, b"\0" * WIDTH.itemsize]), WIDTH)

    def _tokens(self, text: str) -> bytes:
        if len(self._words) > MOST_WORDS:
            self._words.clear()
        words = WORDS.findall(text)
        new = list(set(words).difference(self._words))
        for word, encoding in zip(
            new, self._library.encode_batch_fast(new, add_special_tokens=False), strict=True
        ):
            self._words[word] = np.array(encoding.ids, WIDTH).tobytes()
        return b"".join(map(self._words.__getitem__, words))


def pieces(text: str) -> Iterator[str]:
    """``text`` in pieces of about 1 Mi characters, cut where a word ends in any case."""
    start = 0
    while start < len(text):
        end = WORD_END.search(text, start + PIECE)
        cut = end.start() if end else len(text)
        yield text[start:cut]
        start = cut


def train_bpe(documents: Iterable[bytes], vocab_size: int, path: Path) -> None:
    """Train a byte-level BPE of ``vocab_size`` tokens and save it at ``path``.

    The 256 bytes and the separator are tokens of their own, so any text can be encoded.
    """
    from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as Library

    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS.pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (document.decode("utf-8", errors="replace") for document in documents)
    library.train_from_iterator(texts, trainer)
    temporary = path.with_name(f".{path.name}")
    library.save(str(temporary))
    temporary.replace(path)
