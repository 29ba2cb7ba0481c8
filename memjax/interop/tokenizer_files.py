"""The tokenizer that comes with a pretrained model, as one tokenizer.json.

Older checkpoints have vocab.json and merges.txt (GPT-2's byte-level BPE), or
vocab.txt (BERT's WordPiece). A table with more rows than the tokenizer has
tokens gets a name for each further row, so that no id is out of place.
"""

import json
from pathlib import Path
from typing import Any

from memjax.data.bpe import import_library
from memjax.data.file_tokenizer import FileTokenizer, read_tokenizer
from memjax.errors import require

EXTRA = '<|row {}|>'  # the name of a row that no token has


def read_content(folder: Path) -> str:
  """The content of a tokenizer.json; '' if the folder has no tokenizer.

  Raises:
    ConfigError: the tokenizer cannot be read.
  """
  if (folder / 'tokenizer.json').is_file():
    return read_tokenizer(str(folder / 'tokenizer.json')).content
  vocab, merges = folder / 'vocab.json', folder / 'merges.txt'
  if vocab.is_file() and merges.is_file():
    models = import_library('tokenizer', str(vocab)).models
    return byte_level(models.BPE.from_file(str(vocab), str(merges)))
  words = folder / 'vocab.txt'
  if words.is_file():
    library = import_library('tokenizer', str(words))
    return str(library.BertWordPieceTokenizer(str(words)).to_str())
  return ''


def byte_level(model: Any, *, digits: bool = False) -> str:
  """A tokenizer.json of a BPE over bytes, in the words of GPT-2's pattern.

  Args:
    model: of the tokenizers library.
    digits: whether each digit is a word.
  """
  library = import_library('tokenizer', 'bpe')
  tokenizer, before = library.Tokenizer(model), library.pre_tokenizers
  whole = before.ByteLevel(add_prefix_space=False)
  if digits:
    apart = before.Digits(individual_digits=True)
    whole = before.Sequence([apart, whole])
  tokenizer.pre_tokenizer = whole
  tokenizer.decoder = library.decoders.ByteLevel()
  return str(tokenizer.to_str())


def padded(content: str, vocab: int) -> str:
  """The tokenizer with a token for each of `vocab` ids.

  Raises:
    ConfigError: it has more tokens than that.
  """
  tokens = FileTokenizer(content).vocab
  rule = f'has more tokens than the model has rows, {vocab}'
  require(tokens <= vocab, 'tokenizer', tokens, rule)
  if tokens == vocab:
    return content
  record = json.loads(content)
  plain = dict.fromkeys(
    ('single_word', 'lstrip', 'rstrip', 'normalized'), False
  )
  record['added_tokens'] += [
    {'id': i, 'content': EXTRA.format(i), 'special': True, **plain}
    for i in range(tokens, vocab)
  ]
  return json.dumps(record, ensure_ascii=False)


def unpadded(content: str) -> str:
  """The tokenizer without the tokens that `padded` added."""
  record = json.loads(content)
  kept = [
    token
    for token in record['added_tokens']
    if token['content'] != EXTRA.format(token['id'])
  ]
  if len(kept) == len(record['added_tokens']):
    return content
  return json.dumps({**record, 'added_tokens': kept}, ensure_ascii=False)


def id_of(content: str, token: str) -> int:
  """The id of a token; 0 if there is no such token."""
  library = import_library('tokenizer', 'tokenizer.json')
  return library.Tokenizer.from_str(content).token_to_id(token) or 0
