"""A saved text continues as if it had never been interrupted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config import command_line
from memjax.config.build import build_model
from memjax.configs.models import model
from memjax.data.tokenizers import Bytes, Characters, Tokenizer, Words
from memjax.errors import ConfigError
from memjax.generation import beam, saved, session
from memjax.generation.sampler import TEMPERATURE, UNFILTERED, SamplerConfig
from memjax.generation.session import Session, extend, prefill, sample, stream
from memjax.models.base import Memory
from memjax.modes import sample as sampling
from memjax.runs.load import Run
from memjax.types import Tokens

GREEDY = SamplerConfig(temperature=0)
SAMPLER = SamplerConfig(0.7, 60, 0.95)
LENGTH = 40


class Script(Memory):
  """Predicts the tokens of a script in turn, whatever it reads."""

  script: tuple[int, ...]

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size,), jnp.int32)

  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    next_B = jnp.asarray(self.script)[carry]
    logits_BV = jax.nn.one_hot(next_B, 256)
    return carry + 1, jnp.broadcast_to(
      logits_BV[:, None], (*x.shape, logits_BV.shape[-1])
    )


class Echo(Memory):
  """Predicts the token that it has just read."""

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size,))

  def __call__(
    self, carry: Any, x: Any, reset_BT: Any, *, train: bool = False
  ) -> Any:
    return carry, jax.nn.one_hot(x, 256)


def run_of(built: Any, tokenizer: Any, params: Any = None) -> Run:
  config = {'task': {'name': 'text.Text'}, 'model': {'width': 8}}
  return Run(config, built, params or {}, (), tokenizer, 5, {})


@pytest.fixture(scope='module')
def run() -> Run:
  """An untrained model of bytes: its text is noise, of all kinds of bytes."""
  spec = model('gru', width=8, depth=1, window=4).to_dict()
  built = build_model(spec, Tokens(256), Tokens(256))
  ids, reset_BT = jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1), bool)
  carry = built.initial_carry(1)
  variables = jax.jit(built.init)(jax.random.key(0), carry, ids, reset_BT)
  return run_of(built, Bytes(), variables['params'])


def text_of(
  run: Run, current: Session, length: int, config: SamplerConfig = SAMPLER
) -> tuple[str, Session]:
  text = ''
  for piece, after in stream(run, current, length, config):
    text, current = text + piece, after
  return text, current


def test_a_text_kept_in_a_file_goes_on_bit_for_bit(
  run: Run, tmp_path: Path
) -> None:
  unbroken, end = text_of(run, prefill(run, 'ab', seed=1), LENGTH)
  current, text = prefill(run, 'ab', seed=1), ''
  for i, length in enumerate((1, 7, LENGTH - 8)):
    saved.save(tmp_path / f'{i}', run, current)
    assert [path.name for path in tmp_path.iterdir()] == [f'{i}']
    current = saved.load(tmp_path / f'{i}', run)
    piece, current = text_of(run, current, length)
    text += piece
    (tmp_path / f'{i}').unlink()
  assert text == unbroken
  assert current.tail == end.tail
  np.testing.assert_array_equal(
    jax.random.key_data(current.state.key), jax.random.key_data(end.state.key)
  )
  other = session.with_seed(prefill(run, 'ab', seed=1), 2)
  again = prefill(run, 'ab', seed=2)
  assert text_of(run, other, LENGTH)[0] == text_of(run, again, LENGTH)[0]
  assert text_of(run, again, LENGTH)[0] != unbroken


@pytest.mark.parametrize('cut', range(12))
def test_a_character_cut_by_the_file_comes_whole(
  tmp_path: Path, cut: int
) -> None:
  text = b'a\xc3\xa9\xe2\xe2\x82\xac\xf0\x9f\x98\x80z'
  run = run_of(Script(script=tuple(text)), Bytes())
  start, current = '', prefill(run, '?')
  if cut:
    start, current = text_of(run, current, cut, GREEDY)
  saved.save(tmp_path / 'carry', run, current)
  current = saved.load(tmp_path / 'carry', run)
  rest, _ = text_of(run, current, len(text) - cut, GREEDY)
  assert start + rest == 'aé\ufffd€😀z'


def test_characters_of_many_bytes_come_whole() -> None:
  text = 'aé€😀z'
  run = run_of(Script(script=tuple(text.encode())), Bytes())
  current, pieces = prefill(run, '?'), []
  for _ in text.encode():
    piece, current = text_of(run, current, 1, GREEDY)
    pieces.append(piece)
  assert [piece for piece in pieces if piece] == list(text)


@pytest.mark.parametrize(
  ('tokenizer', 'prompt', 'text'),
  [
    (Characters('ab'), 'ab', 'bbb'),
    (Bytes(), 'ab\udcff', '\ufffd\ufffd\ufffd'),  # a byte, no UTF-8
    (Bytes(), b'ab\xff', '\ufffd\ufffd\ufffd'),
  ],
)
def test_the_prompt_is_read_as_it_is(
  tokenizer: Tokenizer, prompt: str | bytes, text: str
) -> None:
  run = run_of(Echo(), tokenizer)
  assert text_of(run, prefill(run, prompt, 0), 3, GREEDY)[0] == text
  current = extend(run, prefill(run, b'b'), prompt)
  assert text_of(run, current, 3, GREEDY)[0] == text


def test_an_unknown_character_is_reported(
  caplog: pytest.LogCaptureFixture,
) -> None:
  run = run_of(Echo(), Characters('ab'))
  assert ''.join(sample(run, 'abéa\u3000é', 2, 0.0, 0)) == '\ufffd\ufffd'
  [record] = caplog.records
  line = r"prompt: 3 of 6 tokens are not in the vocabulary: 'é', '\u3000'"
  assert record.getMessage() == line


def test_an_unknown_word_is_reported(
  caplog: pytest.LogCaptureFixture,
) -> None:
  run = run_of(Echo(), Words(('<unk>', '<eos>', 'the')))
  text = 'the cat the dog <unk>\n'
  prefill(run, text)
  assert session.as_read(run, text).startswith('the <unk> the')
  [record] = caplog.records  # said once
  line = "prompt: 3 of 6 tokens are not in the vocabulary: 'cat', 'dog'"
  assert record.getMessage() == line


@pytest.mark.parametrize(
  ('prompt', 'line'),
  [
    ('ab\udcff', r"^prompt: b'\\xff': is not UTF-8, at byte 2$"),
    ('', r"^prompt: '': must hold at least one token$"),
  ],
)
def test_a_prompt_that_is_not_text_is_refused(prompt: str, line: str) -> None:
  with pytest.raises(ConfigError, match=line):
    prefill(run_of(Echo(), Characters('ab')), prompt)


def test_only_text_is_sampled() -> None:
  with pytest.raises(ConfigError, match=r"^task\.name: 'text\.Text': is not"):
    prefill(run_of(Echo(), None), 'ab')


def test_a_model_that_reads_ahead_does_not_generate() -> None:
  class ReadsAhead(Echo):
    causal = False

  with pytest.raises(ConfigError, match=r"^model: 'ReadsAhead': .*causal"):
    prefill(run_of(ReadsAhead(), Bytes()), 'ab')


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    ({'step': 6}, 'step was 5, is 6'),
    ({'tokenizer': Characters('ab')}, 'tokenizer was'),
    ({'params': {'a': jnp.ones(3)}}, 'parameters was'),
    (
      {'config': {'model': {'width': 9}}},
      r'model\.width was 8, is 9$',
    ),
    ({'model': Script((1,))}, 'holds other arrays'),
  ],
)
def test_another_runs_memory_is_refused(
  tmp_path: Path, change: dict[str, Any], words: str
) -> None:
  run = run_of(Echo(), Bytes(), {'a': jnp.zeros(3)})
  saved.save(tmp_path / 'carry', run, prefill(run, 'ab'))
  with pytest.raises(ConfigError, match=f'^carry: .*{words}') as error:
    saved.load(tmp_path / 'carry', run._replace(**change))
  assert '\n' not in str(error.value)


def test_a_file_that_is_not_a_carry_is_refused(tmp_path: Path) -> None:
  run, path = run_of(Echo(), Bytes()), tmp_path / 'carry'
  with pytest.raises(ConfigError, match=r'^carry: .*No such file'):
    saved.load(path, run)
  path.write_bytes(b'')
  with pytest.raises(ConfigError, match=r'^carry: .*is not a file of'):
    saved.load(path, run)
  with path.open('wb') as file:
    np.savez(file, other=np.zeros(3))
  with pytest.raises(ConfigError, match=r'^carry: .*is damaged: KeyError'):
    saved.load(path, run)


def test_a_damaged_carry_is_refused(run: Run, tmp_path: Path) -> None:
  """Wherever a byte is wrong, all is as it was or one line says so."""
  path, current = tmp_path / 'carry', prefill(run, 'ab')
  saved.save(path, run, current)
  whole, lines = path.read_bytes(), []
  for at in range(0, len(whole), 13):
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
    try:
      loaded = saved.load(path, run)
    except ConfigError as error:
      lines.append(str(error))
    else:
      assert loaded.tail == current.tail
      jax.tree.map(
        np.testing.assert_array_equal, loaded.state.carry, current.state.carry
      )
  assert len(lines) > 50
  assert not any('\n' in line for line in lines)


def test_a_carry_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
  run = run_of(Echo(), Bytes())
  with pytest.raises(ConfigError, match=r'^carry: .*cannot be written: '):
    saved.save(tmp_path / 'there/carry', run, prefill(run, 'ab'))
  (tmp_path / 'folder').mkdir()
  with pytest.raises(ConfigError, match=r'^carry: .*cannot be written: '):
    saved.save(tmp_path / 'folder', run, prefill(run, 'ab'))
  assert [path.name for path in tmp_path.iterdir()] == ['folder']


Say = Callable[..., str]
FLAGS: dict[str, Any] = {
  flag.name: flag.default for flag in command_line.SAMPLING
}


@pytest.fixture
def say(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
  """What `--mode=sample` prints of the run, its flags given."""
  monkeypatch.setattr(sampling, 'load', lambda workdir, step, replica: run)

  def sampled(**flags: Any) -> str:
    flags = FLAGS | {'length': 20, 'temperature': 1.0} | flags
    assert sampling.sample(Path('run'), **flags) == 0
    return capsys.readouterr().out

  return sampled


def test_the_terminal_shows_what_follows(
  run: Run, say: Say, tmp_path: Path
) -> None:
  text, _ = text_of(run, session.begin(run), 20, UNFILTERED)
  assert say() == f'{text}\n'
  text, _ = text_of(run, prefill(run, 'a b'), 20, UNFILTERED)
  assert say(prompt='a b') == f'a b{text}\n'
  file = tmp_path / 'prompt'
  file.write_bytes(b'a\xff\n')
  text, _ = text_of(run, prefill(run, b'a\xff\n', seed=9), 20, SAMPLER)
  assert f'a\ufffd\n{text}\n' == say(
    prompt_file=str(file), seed=9, temperature=0.7, top_k=60, top_p=0.95
  )


def test_beams_print_the_text_that_a_search_finds(run: Run, say: Say) -> None:
  state = prefill(run, 'a b').state
  _, ids = beam.extend(
    run.model, run.params, state.carry, state.token, 20, beams=3
  )
  text = session.tokenizer_of(run).decode(ids.tolist())
  assert say(prompt='a b', beams=3) == f'a b{text}\n'


def test_the_terminal_goes_on_from_a_carry(
  run: Run, say: Say, tmp_path: Path
) -> None:
  one, two = str(tmp_path / 'one'), str(tmp_path / 'two')
  unbroken = say(prompt='ab', seed=4, length=30)
  text = say(prompt='ab', seed=4, length=12, save_carry=one)[:-1]
  text += say(carry=one, length=18, save_carry=two)
  assert text == unbroken
  # With a prompt it reads on, with a seed it draws anew.
  current = saved.load(two, run)
  text, _ = text_of(run, extend(run, current, 'no'), 20, UNFILTERED)
  assert say(carry=two, prompt='no') == f'no{text}\n'
  text, _ = text_of(run, session.with_seed(current, 7), 20, UNFILTERED)
  assert say(carry=two, seed=7) == f'{text}\n'


def test_a_text_that_is_stopped_is_kept(
  run: Run, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  def stopped(*args: Any) -> Any:
    yield from (
      block for block, _ in zip(stream(*args), range(3), strict=False)
    )
    raise KeyboardInterrupt

  path = str(tmp_path / 'carry')
  unbroken = say(prompt='ab', length=40)
  with monkeypatch.context() as patch:
    patch.setattr(session, 'stream', stopped)
    text = say(prompt='ab', save_carry=path, length=40)[:-1]
  assert 2 < len(text) < len(unbroken)
  assert (text + say(carry=path, length=40)).startswith(unbroken[:-1])


def test_the_prompt_is_coloured_on_a_terminal_only(
  run: Run, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.delenv('NO_COLOR', raising=False)
  plain = say(prompt='a b')
  monkeypatch.setattr('sys.stdout.isatty', lambda: True)
  assert say(prompt='a b') == f'\x1b[36ma b\x1b[0m{plain[3:]}'
  assert '\x1b' not in say()
  monkeypatch.setenv('NO_COLOR', '1')
  assert say(prompt='a b') == plain


def test_samples_are_drawn_at_a_temperature_of_0_8() -> None:
  assert FLAGS['temperature'] == TEMPERATURE == 0.8
  assert FLAGS['prompt'] is None


@pytest.mark.parametrize(
  ('flags', 'words'),
  [
    ({'prompt': 'a', 'prompt_file': 'b'}, "prompt_file: 'b': cannot be used"),
    ({'prompt_file': '/not/there'}, r'prompt_file: .*No such file'),
    ({'prompt_file': '/tmp'}, r'prompt_file: .*[Ii]s a directory'),
    ({'prompt': ''}, 'prompt: .*at least one token'),
    ({'length': 0}, 'length: 0: must be at least 1'),
    ({'beams': 0}, 'beams: 0: must be at least 1'),
    ({'temperature': -1.0}, r'temperature: -1\.0: '),
    ({'top_k': -1}, 'top_k: -1: '),
    ({'top_p': 0.0}, r'top_p: 0\.0: '),
    ({'seed': -1}, 'seed: -1: '),
    ({'carry': '/not/there'}, 'carry: .*No such file'),
    ({'save_carry': '/not/there'}, 'save_carry: .*its folder does not exist'),
  ],
)
def test_what_cannot_be_sampled_is_one_line(
  say: Say, flags: dict[str, Any], words: str
) -> None:
  with pytest.raises(ConfigError, match=f'^{words}') as error:
    say(**flags)
  assert '\n' not in str(error.value)
