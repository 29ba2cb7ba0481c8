"""BLEU and ROUGE-L are those of sacreBLEU 2.6.0 and rouge-score 0.1.2.

The figures were computed by these libraries, sacreBLEU as `corpus_bleu`,
rouge-score as `rougeL` without a stemmer.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.reader import read_experiment
from memjax.configs import mqar, pairs
from memjax.data.tokenizers import Bytes, Marked
from memjax.errors import ConfigError
from memjax.evaluation.overlap import scores_of, text_of
from memjax.evaluation.text_scores import bleu, overlap, rouge_l, split_words
from memjax.models.base import apply
from memjax.training import parallel
from memjax.training.evaluation import Evaluator
from memjax.training.state import initial_params

TEXTS = [  # (text, reference, BLEU, ROUGE-L)
  (
    'The cat sat on the mat.',
    'The cat is on the mat.',
    48.892302243490086,
    0.8333333333333334,
  ),
  (
    'Return the number of items, 3.5% of it.',
    'Returns how many items (3.5 %) there are.',
    8.913765521398126,
    0.35294117647058826,
  ),
  ('', 'Nothing', 0.0, 0.0),
  ('a b c d e f g', 'a b c x e f g h', 35.640264633541825, 0.7999999999999999),
  (
    'It\'s a well-known fact: "yes" & 1-2 no',
    'It is a well known fact: "yes" &amp; 1-2',
    61.59539301615259,
    0.8000000000000002,
  ),
  ('Häuser, grün 1,000.5', 'Häuser grün 1,000.5', 35.35533905932737, 1.0),
]
KEY = 29  # of parameters whose answers end early, or not at all
TARGETS = ('a', 'a ba', 'a ba ba')
ALL = 39.66143543157376  # BLEU of all of them together


@pytest.mark.parametrize(('text', 'reference', 'one', 'other'), TEXTS)
def test_scores_are_those_of_the_libraries(
  text: str, reference: str, one: float, other: float
) -> None:
  assert bleu([overlap(text, reference)]) == pytest.approx(one, rel=1e-12)
  assert rouge_l(text, reference) == pytest.approx(other, rel=1e-12)


def test_counts_add_up_over_texts() -> None:
  counts = [overlap(text, reference) for text, reference, *_ in TEXTS]
  assert bleu(counts) == pytest.approx(ALL, rel=1e-12)
  assert bleu([overlap('one two', 'one three')]) == 0.0
  once = bleu([overlap('a a a a a', 'a b')])
  assert once == pytest.approx(10.682175159905848, rel=1e-12)


def test_signs_are_words_of_their_own() -> None:
  words = split_words('Return the number of items, 3.5% of it.')
  assert words == [
    'Return',
    'the',
    'number',
    'of',
    'items',
    ',',
    '3.5',
    '%',
    'of',
    'it',
    '.',
  ]


def test_a_text_ends_at_its_mark() -> None:
  marks = Marked(Bytes())
  whole = np.array([0, 0, *(marks.encode(b'ab\x1ecd').astype(int) + 1), 0])
  assert text_of(whole, marks) == 'ab'
  padding = np.zeros_like(whole)
  scores = scores_of(
    np.stack([whole, whole]), np.stack([whole, padding]), marks
  )
  assert scores == {'bleu': 0.0, 'rouge_l': 1.0, 'exact_match': 1.0}


def config_of(folder: Path) -> dict[str, Any]:
  path = folder / 'pairs.jsonl'
  records = [
    {'source': 'ab' * n, 'target': TARGETS[n - 1], 'split': split}
    for split in ('train', 'validation')
    for n in (1, 2, 3)
  ]
  path.write_text(''.join(json.dumps(record) + '\n' for record in records))
  config = pairs.get_config('gru,quick').to_dict()
  config['task'] |= {'corpus': 'files', 'path': str(path), 'length': 24}
  config['task'] |= {'tokens': 'characters'}
  config['parallel']['data'] = 1
  written = config['evals'].pop('written') | {'batch_size': 2, 'steps': 0}
  return config | {
    'evals': {'written': written},
    'checkpoint': {
      **config['checkpoint'],
      'best': 'written/bleu',
      'best_is': 'max',
    },
  }


def test_it_writes_to_the_end_mark_or_the_end_of_the_row(
  tmp_path: Path,
) -> None:
  experiment = read_experiment(config_of(tmp_path))
  evaluation = experiment.evals['written']
  model, task = evaluation.model, evaluation.task
  marks = task.text_tokenizer
  assert isinstance(marks, Marked)
  params = initial_params(model, task, jax.random.key(KEY))
  params = jax.tree.map(lambda p: 4 * p, params)
  read = jax.jit(lambda *state: apply(model, params, *state))
  texts = []
  for n, target in enumerate(TARGETS, 1):
    ids = [*marks.encode(b'ab' * n).tolist(), marks.separator]
    carry, answers = model.initial_carry(1), []
    for t in range(task.length):
      carry, y = read(carry, jnp.array([[ids[t]]]), jnp.array([[t == 0]]))
      if t + 1 >= len(ids):
        ids.append(int(np.argmax(y[0, 0])))
        answers.append(ids[-1])
    ends = [i for i, a in enumerate(answers) if a >= marks.separator]
    texts.append((marks.decode(answers[: min(ends, default=None)]), target))
  written = [text for text, _ in texts]
  assert len({*written}) == 3, 'three answers'
  assert max(map(len, written)) > 9, 'one is longer than the targets'
  assert sum(rouge_l(*pair) for pair in texts) > 0
  mesh = parallel.make_mesh(experiment.parallel)
  batched = jax.tree.map(lambda x: x[None], params)
  figures = Evaluator('written', experiment, mesh).measure(batched)
  expected = {
    'bleu': bleu([overlap(*pair) for pair in texts]),
    'rouge_l': np.mean([rouge_l(*pair) for pair in texts]),
    'exact_match': np.mean([one == other for one, other in texts]),
  }
  assert {k: pytest.approx(v) for k, v in expected.items()} == {
    k: float(v[0]) for k, v in figures.items()
  }


def test_other_tasks_and_rows_of_several_pairs_are_refused(
  tmp_path: Path,
) -> None:
  config = config_of(tmp_path)
  config['evals']['written']['task'] |= {'packed': True}
  experiment = read_experiment(config)
  with pytest.raises(ConfigError, match='their labels must be one run'):
    Evaluator('written', experiment, parallel.make_mesh(experiment.parallel))
  config = mqar.get_config('gru,quick').to_dict()
  config['evals'] = {'held_out': {'every': 1, 'batch_size': 8, 'steps': 1}}
  config['evals']['held_out']['name'] = 'overlap.Overlap'
  config['checkpoint']['best'] = ''
  experiment = read_experiment(config)
  with pytest.raises(ConfigError, match='needs a task of pairs'):
    Evaluator('held_out', experiment, parallel.make_mesh(experiment.parallel))
