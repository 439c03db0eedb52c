"""A data set's tokenizer as ``transformers`` reads it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from scaling.base import read_json, write_atomic
from scaling.data.info import META, DataInfo
from scaling.data.text.tokenizer import SEPARATOR, TOKENIZER_FILE
from scaling.data.text.tokenizer_file import FileTokenizer, TokenizerFile

CONFIG_FILE = "tokenizer_config.json"


def write_tokenizer(data: Path, info: DataInfo, folder: Path) -> int | None:
    """Write the tokenizer of a data set into ``folder``; its separator's number.

    Parameters
    ----------
    data : Path
        The folder of the data set, in which its ``tokenizer.json`` lies.
    info : DataInfo
    folder : Path

    Returns
    -------
    int or None
        The token between documents; None where nothing was written, since the tokenizer is not
        known or is none of ``tokenizer.json``'s kinds.
    """
    separator, number = SEPARATOR, 0
    if info.tokenizer == "bytes":
        _bytes().save(str(folder / TOKENIZER_FILE))
    elif info.tokenizer in ("bpe", "tokenizer.json"):
        shutil.copyfile(data / TOKENIZER_FILE, folder / TOKENIZER_FILE)
        if info.tokenizer != "bpe":
            separator, number = _separator(data)
    else:
        return None
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": separator,
        "clean_up_tokenization_spaces": False,
    }
    write_atomic(folder / CONFIG_FILE, json.dumps(config, indent=1))
    return number


def _separator(data: Path) -> tuple[str, int]:
    """The text and the number of the token that ends documents in a data set."""
    from tokenizers import Tokenizer

    path = data / TOKENIZER_FILE
    asked = (read_json(data / META) or {})["facts"]["separator"]
    number = FileTokenizer(TokenizerFile(path, asked)).separator
    return str(Tokenizer.from_file(str(path)).id_to_token(number)), number


def _bytes() -> Any:
    """Every byte its own token; byte 0, which no text has, stands for the separator."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = _letters()
    letters[0] = SEPARATOR
    library = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([AddedToken(SEPARATOR, special=True)])
    return library


def _letters() -> list[str]:
    """The character that the library writes for each byte (Radford et al. 2019, encoder.py)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
