"""Tokenizers encode and decode, a whole text at once and id by id."""

import collections
import io
import itertools
import json
import math
import sys

import numpy as np
import pytest

from memjax.data.tokenizers import (
  BPE,
  Bytes,
  Characters,
  Tokenizer,
  Words,
  from_json,
)
from memjax.errors import ConfigError

SPACED = '  the cat\n\n\tsees  the cät \r\n 12\x0b€ the cat the the cat\n' * 3
TEXT = 'aé€😀\n\r\n\0b\ufeff'


def test_bytes_are_restored_exactly() -> None:
  text = bytes(range(256)) * 3
  ids = Bytes().encode(text)
  assert ids.dtype == np.uint8
  assert ids.tolist() == list(text)
  assert Bytes().restore(ids) == text
  assert Bytes().decode(Bytes().encode(TEXT.encode())) == TEXT


def test_bytes_decode_one_by_one_and_at_once() -> None:
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
  assert tokenizer.contents.bytes_V.tolist() == [1, 1, 1, 1, 2, 0]
  assert tokenizer.unknown_bits == math.log2(0x110000 - 0x800 - 5)
  decode = tokenizer.decoder()
  assert [decode(i) for i in (0, 4, 5)] == ['\n', 'é', '\ufffd']


def test_characters_are_restored_exactly() -> None:
  tokenizer = Characters.of([TEXT.encode()])
  assert tokenizer.restore(tokenizer.encode(TEXT.encode())) == TEXT.encode()


def test_many_characters_need_wider_ids() -> None:
  symbols = ''.join(map(chr, range(1000)))
  tokenizer = Characters.of([symbols.encode()])
  ids = tokenizer.encode(symbols.encode())
  assert ids.dtype == np.uint16
  assert ids.tolist() == list(range(1000))


@pytest.mark.parametrize(
  'tokenizer',
  [
    Bytes(),
    Characters('\nab"é😀'),
    Words(('<unk>', '<eos>', 'é"', 'a')),
    BPE(((97, 98), (256, 99))),
  ],
)
def test_a_tokenizer_survives_json(tokenizer: Tokenizer) -> None:
  assert from_json(json.loads(json.dumps(tokenizer.to_json()))) == tokenizer


def test_an_unknown_tokenizer_is_refused() -> None:
  with pytest.raises(ConfigError, match='did you mean words'):
    from_json({'kind': 'word'})


def test_words_are_the_most_frequent_of_the_text() -> None:
  texts = [b'b a b\n<unk> c', ' é <eos>\n\nb é'.encode()]
  tokenizer = Words.of(texts, 0)
  assert tokenizer.symbols == ('<unk>', '<eos>', 'b', 'é', 'a', 'c')
  fewer = Words.of(texts, 4)
  assert fewer.symbols == ('<unk>', '<eos>', 'b', 'é')
  ids = tokenizer.encode('\n  a\té\nnew\x0b<unk> c'.encode())
  assert ids.dtype == np.uint8
  assert ids.tolist() == [1, 4, 3, 1, 0, 0, 5]
  assert fewer.encode(b'a b c\n').tolist() == [0, 2, 0, 1]
  assert tokenizer.encode(b'').tolist() == []
  assert tokenizer.decode([4, 3, 1, 0, 5]) == 'a é \n<unk> c '
  decode = tokenizer.decoder()
  assert [decode(i) for i in (3, 1, 0)] == ['é ', '\n', '<unk> ']
  text = b'a b \nc b \n'
  assert tokenizer.restore(tokenizer.encode(text)) == text


@pytest.mark.parametrize(
  'space', ['\xa0', '\u3000', '\x85', '\u2028', '\x1c', ' \t']
)
def test_unicode_white_space_separates_words(space: str) -> None:
  text = f'a{space}b{space}'.encode()
  tokenizer = Words.of([text], 0)
  assert tokenizer.symbols == ('<unk>', '<eos>', 'a', 'b')
  assert tokenizer.encode(text).tolist() == [2, 3]


def test_a_carriage_return_ends_a_line_as_in_pythons_text_mode() -> None:
  text = 'a\rb\r\na\n\rb\x85a\r'
  tokenizer = Words.of([text.encode()], 0)
  lines = io.TextIOWrapper(io.BytesIO(text.encode()), encoding='utf-8')
  words = [word for line in lines for word in [*line.split(), '<eos>']]
  ids = tokenizer.encode(text.encode())
  assert [tokenizer.symbols[i] for i in ids] == words


def test_many_words_need_wider_ids() -> None:
  tokenizer = Words.of([' '.join(map(str, range(300))).encode()], 0)
  assert tokenizer.encode(b'0').dtype == np.uint16


def test_merges_are_those_of_the_paper() -> None:
  """The most frequent pair within words is merged, again and again."""
  words = {'low': 5, 'lower': 2, 'newest': 6, 'widest': 3}
  text = ''.join(f' {word}' * n for word, n in words.items())
  tokenizer = BPE.of([text.encode()], 256 + 20)
  pieces = {f' {word}': [*f' {word}'] for word in words}
  for merged in tokenizer.pieces[256:]:
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for word, parts in pieces.items():
      for pair in itertools.pairwise(parts):
        counts[pair] += words[word.strip()]
    best = max(counts.values())
    joined = {''.join(pair) for pair, n in counts.items() if n == best}
    assert merged.decode() in joined
    for parts in pieces.values():
      for i in range(len(parts) - 2, -1, -1):
        if ''.join(parts[i : i + 2]) == merged.decode():
          parts[i : i + 2] = [merged.decode()]
  for word, parts in pieces.items():
    ids = tokenizer.encode(word.encode())
    assert [tokenizer.decode([i]) for i in ids] == parts


def test_bpe_is_restored_exactly_and_one_by_one() -> None:
  text = (TEXT + 'the cat ' * 9).encode()
  tokenizer = BPE.of([text], 262)
  assert 256 < tokenizer.vocab <= 262
  ids = tokenizer.encode(text)
  assert ids.dtype == np.uint16
  assert len(ids) < len(text)
  assert tokenizer.restore(ids) == text
  assert tokenizer.decode(ids) == text.decode()
  decode = tokenizer.decoder()
  assert ''.join(map(decode, ids)) == text.decode()
  plain = BPE(())
  assert plain.encode(TEXT.encode()).tolist() == list(TEXT.encode())


def test_a_merge_with_the_bytes_of_a_token_adds_no_token() -> None:
  tokenizer = BPE(((97, 98), (98, 99), (256, 99), (97, 257)))
  assert tokenizer.vocab == 259
  assert tokenizer.pieces[256:] == [b'ab', b'bc', b'abc']
  assert tokenizer.encode(b'abc').tolist() == [258]


def test_without_the_library_the_error_says_how_to_install_it(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setitem(sys.modules, 'tokenizers', None)
  tokenizer = BPE(((97, 98),))
  assert tokenizer.decode([256, 97]) == 'aba'
  for use in (lambda: BPE.of([b'a'], 300), lambda: tokenizer.encode(b'a')):
    with pytest.raises(ConfigError) as error:
      use()
    rule = 'needs the tokenizers library: pip install tokenizers'
    assert str(error.value) == f"tokens: 'bpe': {rule}"


TOKENIZERS = [
  Bytes(),
  Characters(''.join(sorted(set(SPACED)))),
  BPE.of([SPACED.encode()], 290),
]


@pytest.mark.parametrize('tokenizer', TOKENIZERS, ids=lambda t: t.kind)
@pytest.mark.parametrize('line_ends', [False, True])
def test_tokens_count_the_bytes_characters_and_words_of_a_text(
  tokenizer: Tokenizer, line_ends: bool
) -> None:
  ids = tokenizer.encode(SPACED.encode())
  tables = tokenizer.contents
  assert tables.bytes_V[ids].sum() == len(SPACED.encode())
  assert tables.characters_V[ids].sum() == len(SPACED)
  words = SPACED.encode().split()
  lines = SPACED.count('\n') if line_ends else 0
  assert SPACED[0] == ' '
  begins = tables.words(ids[:-1], ids[1:], line_ends)
  first = len(tokenizer.restore(ids[:1]).split())
  assert first + begins.sum() == len(words) + lines
