"""Text to ids and back, at once and id by id."""

import json
import math

import numpy as np
import pytest

from memjax.data.tokenizers import Bytes, Characters, from_json
from memjax.errors import ConfigError

TEXT = 'aé€😀\n\r\n\0b\ufeff'


def test_bytes_come_back_exactly() -> None:
  text = bytes(range(256)) * 3
  ids = Bytes().encode(text)
  assert ids.dtype == np.uint8
  assert ids.tolist() == list(text)
  assert Bytes().restore(ids) == text
  assert Bytes().decode(Bytes().encode(TEXT.encode())) == TEXT


def test_bytes_decode_one_by_one_as_at_once() -> None:
  text = TEXT.encode() + b'\xff\xe2\x82a\xf0\x9f'
  decode = Bytes().decoder()
  pieces = [decode(token) for token in text]
  assert pieces[:3] == ['a', '', 'é']
  assert ''.join(pieces) == Bytes().decode(text[:-2])
  assert ''.join(pieces) == text[:-2].decode(errors='replace')


def test_characters_are_the_sorted_ones_of_the_text() -> None:
  tokenizer = Characters.of([b'cab', 'é\n'.encode(), b'aa'])
  assert tokenizer.symbols == '\nabcé'
  assert tokenizer.vocab == 6
  ids = tokenizer.encode('bé€a😀'.encode())
  assert ids.dtype == np.uint8
  assert ids.tolist() == [2, 4, 5, 1, 5]
  assert tokenizer.decode(ids) == 'bé\ufffda\ufffd'
  assert tokenizer.bytes_V.tolist() == [1, 1, 1, 1, 2, 0]
  assert tokenizer.unknown_bits == math.log2(0x110000 - 0x800 - 5)
  decode = tokenizer.decoder()
  assert [decode(i) for i in (0, 4, 5)] == ['\n', 'é', '\ufffd']


def test_characters_come_back_exactly() -> None:
  tokenizer = Characters.of([TEXT.encode()])
  assert tokenizer.restore(tokenizer.encode(TEXT.encode())) == TEXT.encode()


def test_many_characters_take_wider_ids() -> None:
  symbols = ''.join(map(chr, range(1000)))
  tokenizer = Characters.of([symbols.encode()])
  ids = tokenizer.encode(symbols.encode())
  assert ids.dtype == np.uint16
  assert ids.tolist() == list(range(1000))


@pytest.mark.parametrize('tokenizer', [Bytes(), Characters('\nab"é😀')])
def test_a_tokenizer_survives_json(tokenizer: Bytes | Characters) -> None:
  assert from_json(json.loads(json.dumps(tokenizer.to_json()))) == tokenizer


def test_an_unknown_tokenizer_is_refused() -> None:
  with pytest.raises(ConfigError, match='bytes, characters'):
    from_json({'kind': 'words'})
