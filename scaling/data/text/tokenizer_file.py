"""Tokenizers that somebody else made: ``tokenizer.json``, SentencePiece models, tiktoken's ranks.

Text is text to them: words that look like a special token are encoded as any others, nothing is
added, cut or padded. A separator, which every document ends with, is all that comes beside.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.info import sha256_of
from scaling.data.text.sources import Document
from scaling.data.text.tokenizer import WIDTH, Decoder

NAMES = {
    "tokenizer.json": "tokenizer.json",
    "sentencepiece": "tokenizer.model",
    "tiktoken": "tokenizer.tiktoken",
}
"""Kind of tokenizer -> its file in a data set's folder."""

SEPARATORS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "[SEP]")
_RANK = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\r?\n")
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
PATTERNS = {  # as in tiktoken_ext/openai_public.py, and Qwen's tokenization_qwen.py
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": rf"{_SHORT}|{_LETTERS}|\p{{N}}{{1,3}}|{_REST}",
    "qwen": rf"{_SHORT}|{_LETTERS}|\p{{N}}|{_REST}",
    "o200k": rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_SHORT}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_SHORT}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
# Number of ranks -> pattern and end of text: r50k, p50k, cl100k, o200k, Llama 3, Qwen.
KNOWN_RANKS = {
    50256: ("gpt2", 50256),
    50280: ("gpt2", 50256),
    100256: ("cl100k", 100257),
    199998: ("o200k", 199999),
    128000: ("cl100k", 128001),
    151643: ("qwen", 151643),
}


@dataclass(frozen=True)
class TokenizerFile:
    """A tokenizer's file and what it leaves open.

    Parameters
    ----------
    path : Path
    separator : str, optional
        The token, by its text or its number, that ends each document; by default the first of
        ``SEPARATORS`` that the tokenizer has, or the end of a sentence in SentencePiece.
    pattern : str, optional
        How tiktoken splits words: a name of ``PATTERNS``, or a regular expression. Known by the
        number of ranks for OpenAI's, Llama 3's and Qwen's.
    """

    path: Path
    separator: str | None = None
    pattern: str | None = None

    def facts(self) -> dict[str, Any]:
        """What the tokens depend on: the sum of the file, and the two options."""
        return {
            "tokenizer_sha256": sha256_of(self.path).hex(),
            "separator": self.separator,
            "pattern": self.pattern,
        }


class FileTokenizer:
    """A tokenizer out of a file.

    Attributes
    ----------
    asked : TokenizerFile
    kind : str
        ``tokenizer.json``, ``sentencepiece`` or ``tiktoken``.
    vocab_size : int
        The largest token and 1.
    separator : int
        The token after each document.
    pattern : str or None
        The regular expression by which tiktoken splits words.
    """

    def __init__(self, asked: TokenizerFile) -> None:
        self.asked, self.kind = asked, kind_of(asked.path)
        if asked.pattern is not None and self.kind != "tiktoken":
            raise ValueError(f"--pattern is for tiktoken's files; {asked.path} is {self.kind}")
        openers = {
            "tokenizer.json": _open_json,
            "sentencepiece": _open_sentencepiece,
            "tiktoken": _open_tiktoken,
        }
        self._encode, largest, self.separator, self.pattern = openers[self.kind](asked)
        self.vocab_size = max(largest, self.separator) + 1
        self._decoder = Decoder()

    @property
    def file_name(self) -> str:
        """What its file is called in a data set's folder."""
        return NAMES[self.kind]

    def encode(self, documents: Sequence[Document]) -> list[NDArray[np.unsignedinteger]]:
        """One array of tokens per document, its separator at the end."""
        texts = [self._decoder(bytes(document)) for document in documents]
        return [np.array([*ids, self.separator], WIDTH) for ids in self._encode(texts)]


Opened = tuple[Callable[[list[str]], list[list[int]]], int, int, str | None]
"""What encodes texts, the largest token, the separator, and tiktoken's pattern."""


def kind_of(path: Path) -> str:
    """The kind of a tokenizer's file, by its content.

    Raises
    ------
    ValueError
        If it is none.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if head.lstrip()[:1] == b"{":
        return "tokenizer.json"
    if _RANK.match(head):
        return "tiktoken"
    if head[:1] == b"\n":  # field 1 of the message: the pieces
        return "sentencepiece"
    raise ValueError(
        f"{path} is no tokenizer: give bytes, bpe, a tokenizer.json, a SentencePiece model or "
        "tiktoken's ranks"
    )


def _open_json(asked: TokenizerFile) -> Opened:
    from tokenizers import Tokenizer

    try:
        library: Any = Tokenizer.from_str(asked.path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises Exception itself
        raise ValueError(
            f"{asked.path} is no tokenizer.json ({' '.join(str(error).split())}): give the file "
            "that the tokenizers library saves"
        ) from None
    library.no_truncation()
    library.no_padding()
    library.encode_special_tokens = True

    def encode(texts: list[str]) -> list[list[int]]:
        encoded = library.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    vocabulary = library.get_vocab(with_added_tokens=True)
    largest = max(vocabulary.values(), default=0)
    return encode, largest, _separator(asked, vocabulary.get, largest), None


def _open_sentencepiece(asked: TokenizerFile) -> Opened:
    try:
        import sentencepiece
    except ModuleNotFoundError:
        raise ValueError(
            f"{asked.path} is a SentencePiece model: pip install sentencepiece to have it read"
        ) from None
    library: Any = sentencepiece.SentencePieceProcessor()
    try:
        library.LoadFromSerializedProto(asked.path.read_bytes())
    except RuntimeError as error:
        raise ValueError(f"{asked.path} is no SentencePiece model ({error})") from None
    largest, unknown = library.get_piece_size() - 1, library.unk_id()

    def find(token: str) -> int | None:
        number = int(library.piece_to_id(token))
        return None if number == unknown else number

    def encode(texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = library.encode(texts, out_type=int, add_bos=False, add_eos=False)
        return ids

    end = int(library.eos_id())
    return encode, largest, _separator(asked, find, largest, end if end >= 0 else None), None


def _open_tiktoken(asked: TokenizerFile) -> Opened:
    try:
        import tiktoken
    except ModuleNotFoundError:
        raise ValueError(
            f"{asked.path} has tiktoken's ranks: pip install tiktoken to have it read"
        ) from None
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(asked.path.read_bytes().splitlines(), 1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError:
            raise ValueError(
                f"{asked.path}, line {number}: {line[:40]!r} is no token in base64 and its rank"
            ) from None
    if len(ranks) < 256 or any(bytes([byte]) not in ranks for byte in range(256)):
        raise ValueError(f"{asked.path} has no rank for some byte: it is not whole; get it again")
    known, end = KNOWN_RANKS.get(len(ranks), (None, None))
    named = asked.pattern or known
    if named is None:
        raise ValueError(
            f"{asked.path} has {len(ranks)} ranks, which tells no known tokenizer: add --pattern, "
            f"{', '.join(PATTERNS)} or a regular expression"
        )
    pattern = PATTERNS.get(named, named)
    try:
        library: Any = tiktoken.Encoding(
            "own", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
        )
    except Exception as error:  # whatever its regular expressions raise
        raise ValueError(f"{asked.path} with --pattern {named!r}: {error}") from None
    largest = max(ranks.values())

    def encode(texts: list[str]) -> list[list[int]]:
        return [library.encode_ordinary(text) for text in texts]

    usual = largest + 1 if end is None else end
    separator = _separator(asked, lambda token: ranks.get(token.encode()), None, usual)
    return encode, largest, separator, pattern


def _separator(
    asked: TokenizerFile,
    find: Callable[[str], int | None],
    largest: int | None,
    usual: int | None = None,
) -> int:
    """The token that ends documents: the one that was asked for, or the usual one.

    A number may lie above the ``largest`` only where the vocabulary is open (None).
    """
    found: int | None
    if asked.separator is not None:
        if asked.separator.isdecimal():
            number = int(asked.separator)
            found = number if largest is None or number <= largest else None
        else:
            found = find(asked.separator)
        if found is None:
            raise ValueError(f"--separator {asked.separator!r} is no token of {asked.path}")
        return found
    if usual is not None:
        return usual
    for token in SEPARATORS:
        if (found := find(token)) is not None:
            return found
    raise ValueError(
        f"{asked.path} has none of {', '.join(SEPARATORS)}: name the token that ends documents "
        "with --separator"
    )
