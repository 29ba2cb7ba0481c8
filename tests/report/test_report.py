"""The page of several runs, as a browser shows it, and the files beside it."""

import csv
import dataclasses
import os
from pathlib import Path
import re
import shutil
from typing import Any

import jax
import pytest

from memjax import analysis
from memjax.analysis.cost import Cost
from memjax.analysis.section import Section
from memjax.data.corpus import close_corpora
from memjax.errors import ConfigError
from memjax.logs import metrics_file
from memjax.logs.console import format_number
from memjax.logs.plots import style_runs
from memjax.modes.report import report
from memjax.report import instruments, measured, run_info, write
from memjax.report.runs import load_runs, memories, short_names
from memjax.training.loop import train
from tests.report.browser import WIDTHS, Look, look
from tests.small import small

SHORT: dict[str, Any] = {'train.steps': 4, 'parallel.data': 1}


@pytest.fixture(scope='module')
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
  """Two seeds of recall, and a text whose corpus was deleted."""
  folder = tmp_path_factory.mktemp('runs')
  corpus = folder / 'corpus.txt'
  corpus.write_text('<b> a line & another\n' * 100)
  text = {'task.corpus': 'files', 'task.path': str(corpus), 'log.prompt': '<b>'}
  for name, experiment in (
    ('recall', small('mqar', 'lstm', SHORT | {'train.replicas': 2})),
    ('text', small('text', 'lstm', SHORT | text)),
  ):
    assert train(experiment, folder / name, lambda *run: None)
  corpus.unlink()
  shutil.rmtree(os.environ['MEMJAX_CACHE'])
  close_corpora()
  return folder


@pytest.fixture(scope='module')
def page(runs: Path) -> Path:
  assert report(Path(f'{runs}/recall,{runs}/text')) == 0
  return runs / 'report/index.html'


@pytest.fixture(scope='module')
def looks(page: Path) -> list[Look]:
  return look(page)


SECTIONS = (
  'Verdict',
  'Learning',
  'Evaluation',
  'Score by label distance',
  'Loss by context',
  'State ablation',
  'Bits of each label',
  'Linear probes',
  'Input gradients',
  'Carry gradients',
  'Attention by lag',
  'Time constants',
  'Weightings',
  'Cost',
  'A sample',
  'What was trained',
)
PICTURES = (
  'loss against training step; at the end recall ',
  'accuracy, share of labels against label distance, steps; at the end recall ',
  'loss against context, inputs; at the end recall ',
  'loss rise, removed: recall all ',
  'recall: bits of each label; in all with its memory ',
  'accuracy, share of labels against lag, steps; at the end recall ',
  'gradient norm against lag, steps; at the end recall ',
  'gradient norm, layer_0.h against lag, steps; at the end recall ',
  'steps, layer 0 against share of units below; at the end recall ',
  'forward, tokens per second against length of a segment, steps; at the end',
)
FIGURES = {
  'score_by_distance': 'run,replica,label_distance [steps],',
  'loss_by_context': 'run,replica,context [inputs],loss [nats per label],',
  'token_bits': 'run,replica,number,row,step,label,bits [bits],',
  'state_ablation': 'run,ablation,replica,leaf,loss_rise [nats per label],',
  'linear_probes': 'run,leaf,replica,lag [steps],accuracy [share of tokens],',
  'input_gradients': 'run,replica,lag [steps],gradient_norm [',
  'carry_gradients': 'run,replica,leaf,lag [steps],gradient_norm [',
  'time_constants': 'run,path,replica,unit,gate [',
  'cost': 'run,program,length [steps],',
}


@pytest.mark.slow
def test_a_browser_shows_every_picture_without_an_error(
  looks: list[Look],
) -> None:
  assert [one.width for one in looks] == list(WIDTHS)
  for one in looks:
    assert one.console == []
    assert one.title == 'recall · text'
    assert one.needed <= one.width, 'the page is wider than the window'
    assert len(one.pictures) == len(PICTURES)
    for picture, words in zip(one.pictures, PICTURES, strict=True):
      assert words in picture.alt
      assert picture.natural > 500
      assert 0.7 * min(one.width, 900) < picture.shown <= one.width


def test_every_section_exists_and_has_a_link(
  page: Path, looks: list[Look]
) -> None:
  source = page.read_text()
  places = re.findall('<section id="(.*?)"', source)
  assert re.findall('<a href="#(.*?)">', source) == places
  for one in looks:
    titles = [t for t in SECTIONS if f'\n{t}\n' in one.text]
    assert titles == list(SECTIONS)
  files = re.findall('(?:src|href)="(?!#|data:)(.*?)"', source)
  assert {path.name for path in page.parent.glob('*.*v*')} == set(files)
  assert '<script' not in source


def test_figures_are_those_of_the_rows_beside_their_baselines(
  runs: Path, page: Path, looks: list[Look]
) -> None:
  rows = metrics_file.load_rows(runs / 'recall/metrics.jsonl')
  (row,) = [r for r in rows if r['split'] == 'twice' and r['step'] == 4]
  low, high = map(format_number, row['quartiles']['accuracy'])
  figure = f'{format_number(row["metrics"]["accuracy"])} ({low} to {high})'
  text = looks[-1].text.replace('\N{NO-BREAK SPACE}', ' ')
  assert re.search(rf'accuracy\t{re.escape(figure)}\t—\tany value 0\.0', text)
  assert 'recall: twice at step 4: segment_length ' in page.read_text()
  assert re.search(r'seeds\t0 to 1\t0\n', text)
  assert re.search(r'state of a row\t128 bytes\t128 bytes', text)
  assert re.search(r'task\.name\tmqar\.MQAR\ttext\.Text', text)


def test_what_is_not_defined_for_a_run_is_a_line(looks: list[Look]) -> None:
  text = looks[-1].text
  reason = 'the model shows no attention to its own past'
  assert f'recall: does not apply: {reason}' in text
  gone = r'^text: not measured: task\.path: .*corpus\.txt'
  assert len(re.findall(gone, text, re.M)) == 11
  assert 'failed' not in text


def test_every_figure_is_a_csv_and_an_svg_beside_the_page(page: Path) -> None:
  tables = {path.stem for path in page.parent.glob('*.csv')}
  pictures = {path.stem for path in page.parent.glob('*.svg')}
  assert tables == {*FIGURES, 'verdict', 'learning', 'evaluation'}
  assert pictures == {*FIGURES, 'learning'}
  for name, head in FIGURES.items():
    lines = (page.parent / f'{name}.csv').read_text().splitlines()
    assert lines[0].startswith(head), name
    assert len(lines) > 1
    assert all(line.startswith('recall,') for line in lines[1:])


def test_what_was_learned_is_a_csv_with_every_row(
  runs: Path, page: Path
) -> None:
  def cells(name: str) -> list[dict[str, str]]:
    with (page.parent / f'{name}.csv').open() as file:
      return list(csv.DictReader(file))

  rows = metrics_file.load_rows(runs / 'recall/metrics.jsonl')
  wanted = [(r['split'], m, v) for r in rows for m, v in r['metrics'].items()]
  found = [line for line in cells('learning') if line['run'] == 'recall']
  assert [(x['split'], x['metric'], float(x['value'])) for x in found] == wanted
  low, high = rows[-1]['quartiles'][found[-1]['metric']]
  assert float(found[-1]['first_quartile']) == low
  assert float(found[-1]['third_quartile']) == high
  last = {line['split'] for line in cells('evaluation')}
  assert last == {'held_out', 'twice', 'validation', 'test'}
  verdict = {line['']: line['recall'] for line in cells('verdict')}
  assert verdict['state, bytes'] == '128'


def test_rows_of_eval_are_in_the_report(runs: Path, tmp_path: Path) -> None:
  workdir, out = tmp_path / 'recall', tmp_path / 'out'
  shutil.copytree(runs / 'recall', workdir)
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  row = next(r for r in rows if r['split'] == 'held_out')
  row |= {'mode': 'eval', 'time': 'now', 'overrides': {'task.pairs': 3}}
  for accuracy in (0.25, 0.625):
    row['metrics']['accuracy'] = accuracy
    metrics_file.append_row(workdir / 'metrics.jsonl', row)
  assert report(workdir, 'evaluation', str(out)) == 0
  source = (out / 'index.html').read_text()
  later = source.partition('Measured later, by --mode=eval')[2]
  assert re.search(r'<td>held_out</td><td>\d</td><td>task.pairs 3</td>', later)
  assert '>0.6250' in later
  assert '>0.2500' not in later, 'the newest of two rows that are alike'
  lines = (out / 'evaluation.csv').read_text().splitlines()
  [first, second] = [line for line in lines if ',task.pairs 3,acc' in line]
  assert first.startswith('recall,eval,now,')
  assert second.split(',')[7] == '0.625'


@pytest.mark.slow
def test_instruments_read_the_validation_text(tmp_path: Path) -> None:
  corpus = tmp_path / 'corpus.txt'
  corpus.write_text(''.join(map(str, range(3000))))
  options = {'task.corpus': 'files', 'task.path': str(corpus)}
  for name, family, more in (
    ('text', 'text', options),
    ('adding',) * 2 + ({},),
  ):
    experiment = small(family, 'lstm', SHORT | more)
    with jax.numpy_dtype_promotion('standard'):  # of optax
      assert train(experiment, tmp_path / name, lambda *run: None)
  text, adding = load_runs([tmp_path / 'text', tmp_path / 'adding'])
  assert text.held_out_set == 'validation'
  assert text.task.split == 'validation'  # type: ignore[attr-defined]
  assert adding.held_out_set == ''
  assert adding.task == adding.experiment.task
  rows = run_info.section([text, adding]).tables[0].rows
  assert [
    'instruments read',
    'the evaluation set validation',
    'new rows of the task',
  ] in rows


def test_an_instrument_shows_its_figures_and_its_definition(
  looks: list[Look],
) -> None:
  text = looks[-1].text.replace('\N{NO-BREAK SPACE}', ' ')
  figure = r'\d[\d.e+-]*( \(\S+ to \S+\))?'
  for row in (
    f'useful context\t(≥ )?{figure}',
    rf'layer_0\.c(\t-?{figure}){{3}}',
    'bits of state\t1,024',
    rf'layer_0\.h\t(≥ )?({figure}|—)',
    rf'layer_0/memory/.*, 50% of units below\t{figure}',
    r'gradient, 64 steps\t\d+\.\d\d MB',
  ):
    assert re.search(f'^{row}$', text, re.M), row


def test_definitions_are_whole_and_folded(
  page: Path, looks: list[Look]
) -> None:
  source = page.read_text()
  folded = ' '.join(re.findall('<details>(.*?)</details>', source, re.S))
  for words in (
    'The RECL of model i is the context at which it stops',
    'b(c, t)     = min_i l_i(c, t)  ',
    'A unit whose gate keeps the share f',
  ):
    assert words in folded
    assert words not in looks[-1].text


def test_a_sample_is_shown_as_it_was_written(looks: list[Look]) -> None:
  assert re.search(r'A sample\n.*\ntext\n+<b>.{100}', looks[-1].text, re.S)


def test_a_section_that_fails_is_a_line_and_the_others_are_shown(
  runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
  def broken(runs: Any) -> Any:
    raise ZeroDivisionError('by nothing\nat all')

  sections: dict[str, Any] = {
    'broken': ('Broken', broken),
    'run_info': write.AT_THE_END['run_info'],
    'nothing': ('Nothing', lambda runs: (None, {})),
  }
  monkeypatch.setattr(write, 'OF_TRAINING', {})
  monkeypatch.setattr(write, 'AT_THE_END', sections)
  monkeypatch.setattr(instruments, 'find_instruments', list)
  path = write.write([runs / 'text'])
  assert path == runs / 'text/report/index.html'
  source = path.read_text()
  assert '<h2>Broken</h2>' in source
  assert '<li>failed: by nothing</li>' in source
  assert '<h2>What was trained</h2>' in source
  lines = capsys.readouterr().out.splitlines()
  titles = [re.sub(r' +[\d.]+ s$', '', line) for line in lines[1:]]
  assert titles == ['Broken', 'What was trained']


NEW = """
import dataclasses

import numpy as np

from memjax.analysis.across_runs import line_plots, panels
from memjax.analysis.base import Instrument, Result, tidy
from memjax.analysis.section import Section


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterNorm(Instrument):
  title = 'Parameter norm'
  definition = 'The norm of all parameters.'

  def measure(self, model, params_N, task):
    norms = np.arange(4.0).reshape(2, 2)
    axes = {'replica': range(2), 'half': [1, 2]}
    return Result(tidy(axes, {'norm': norms}), dict.fromkeys(
      ('replica', 'half', 'norm'), ''), norms)

  def show(self, results):
    curves = panels(results, lambda x: {'norm': (np.array([1, 2]), x)})
    return Section(self.title, self.definition, line_plots(curves, 'half'))
"""


def test_a_new_file_in_the_folder_is_a_section_of_the_page(
  runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  (tmp_path / 'parameter_norm.py').write_text(NEW)
  monkeypatch.setattr(analysis, '__path__', [*analysis.__path__, str(tmp_path)])
  found = instruments.find_instruments()
  new = [one for one in found if one.title == 'Parameter norm']
  assert found[-1:] == new
  monkeypatch.setattr(instruments, 'find_instruments', lambda: new)
  folder = runs / 'recall/report'
  folder.mkdir(exist_ok=True)
  for name in ('parameter_norm_2.svg', 'parameter_norms.csv'):
    (folder / name).touch()
  page = write.write([runs / 'recall'], ['parameter_norm'])
  assert '<h2>Parameter norm</h2>' in page.read_text()
  names = {'index.html', 'parameter_norm.csv', 'parameter_norm.svg'}
  names |= {'parameter_norms.csv', 'measured', 'verdict.csv'}
  assert {p.name for p in folder.iterdir()} == names
  rows = (page.parent / 'parameter_norm.csv').read_text().splitlines()
  assert rows[:2] == ['run,replica,half,norm', 'recall,0,1,0.0']
  assert '<svg' in (page.parent / 'parameter_norm.svg').read_text()


def test_an_instrument_that_can_measure_no_run_says_so_and_writes_no_file(
  runs: Path, tmp_path: Path
) -> None:
  (text,) = load_runs([runs / 'text'])
  styles = style_runs(['text'])
  for instrument in instruments.find_instruments():
    section, findings = instruments.section(
      instrument, [text], styles=styles, folder=tmp_path
    )
    assert len(section.notes) == 1
    assert section == Section(instrument.title, notes=section.notes)
    assert findings == {}
  assert list(tmp_path.iterdir()) == []


def test_the_browser_test_sees_a_broken_page(tmp_path: Path) -> None:
  page = tmp_path / 'page.html'
  page.write_text(
    '<!doctype html><title>x</title><img alt="a"'
    ' src="data:image/svg+xml;base64,PHN2Zz4="><div style="width:700px">d</div>'
    '<script>console.error("wrong")</script><img src="gone.png">'
  )
  phone, desk = look(page)
  assert 'wrong' in phone.console[0]
  assert [picture.natural for picture in phone.pictures] == [0, 0]
  assert [picture.alt for picture in desk.pictures] == ['a', '']
  assert phone.needed > phone.width
  assert desk.needed <= desk.width


def test_a_page_loads_nothing_from_a_network(
  page: Path, tmp_path: Path
) -> None:
  asking = tmp_path / 'page.html'
  picture = '<img src="https://example.org/a.png">'
  asking.write_text(page.read_text().replace('</body>', picture + '</body>'))
  console = look(asking)[0].console
  assert 'Content Security Policy' in console[0]


def test_the_memories_of_a_hybrid_are_named_once() -> None:
  gru, lstm = {'name': 'gru.GRU'}, {'name': 'lstm.LSTM'}
  stack = {'name': 'stack.Stack', 'layer': gru}
  assert memories(stack) == 'GRU'
  others = {'a': lstm, 'b': gru}
  assert memories(stack | {'others': others}) == 'GRU, LSTM'
  assert memories({'name': 'memn2n.MemN2N'}) == 'MemN2N'


def test_names_are_the_shortest_that_differ(tmp_path: Path) -> None:
  a, b, c = (tmp_path / name for name in ('x/lstm', 'y/lstm', 'y/gru'))
  assert short_names([a]) == ['lstm']
  assert short_names([a, c]) == ['lstm', 'gru']
  assert short_names([a, b, c]) == ['x/lstm', 'y/lstm', 'y/gru']
  with pytest.raises(ConfigError, match='named twice'):
    short_names([a, b, tmp_path / 'y/../x/lstm'])


def test_the_verdict_comes_first_with_a_sentence_for_each_run(
  page: Path, looks: list[Look]
) -> None:
  text = looks[-1].text.replace('\N{NO-BREAK SPACE}', ' ')
  first = text.rpartition('\nVerdict\n')[2].partition('\nLearning\n')[0]
  for figure in (
    r'held out: accuracy\t0\.\d+\t—',
    r'baseline\t0\.2500 \(any value of the row\)\t—',
    'best possible\t1\t—',
    r'farthest distance above 90%\tnone of \d+\t—',
    r'loss without memory\t\d\S* \([+-]\d\S*\)\t—',
    'state, bytes\t128\t128',
    r'parameters\t[\d,]+\t[\d,]+',
    r'tokens per second\t\d\S*\t—',
    'bits of state per remembered symbol\t',
  ):
    assert re.search(f'^{figure}', first, re.M), figure
  (sentence,) = re.findall('^recall .*[.]$', first, re.M)
  assert re.match(
    r'recall \(LSTM\) (uses|does not use) its memory: [+-]\S+ nats without it; '
    r'it answers at no distance of \d+ to \d+\.',
    sentence,
  )
  assert ' inf' not in text
  assert 'http-equiv="refresh"' not in page.read_text()


def test_chance_lines_are_there_with_several_runs(page: Path) -> None:
  for section in ('Learning', 'Score-by-label-distance'):
    drawn = page.read_text().partition(f'<section id="{section}">')[2]
    alt = re.findall('alt="(.*?)"', drawn)[0]
    assert 'any value of the row 0.2500' in alt


def test_a_page_grows_while_it_is_measured(
  runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  seen: list[str] = []

  def look_on(runs: Any) -> Any:
    seen.append((tmp_path / 'out/index.html').read_text())
    return Section('Two', notes=['done']), {}

  sections: dict[str, Any] = {
    'one': ('One', lambda runs: (Section('One', notes=['done']), {})),
    'two': ('Two', look_on),
  }
  monkeypatch.setattr(write, 'find_sections', lambda *names: sections)
  page = write.write([runs / 'text'], (), tmp_path / 'out')
  (half,) = seen
  assert '<h2>One</h2>' in half
  assert 'Being measured: Two.' in half
  assert 'http-equiv="refresh"' in half
  assert 'Being measured' not in page.read_text()


def test_a_second_report_measures_nothing(
  runs: Path, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  (recall,) = load_runs([runs / 'recall'])
  cost = Cost()
  kept = measured.result(cost, 'cost', recall, page.parent)

  def fail(self: Any, *arguments: Any) -> Any:
    raise AssertionError('measured again')

  monkeypatch.setattr(type(cost), 'measure', fail)
  again = measured.result(cost, 'cost', recall, page.parent)
  assert again.rows == kept.rows
  assert type(again.arrays) is type(kept.arrays)
  assert again.arrays.state == kept.arrays.state
  other = dataclasses.replace(cost, repeats=7)
  with pytest.raises(AssertionError, match='measured again'):
    measured.result(other, 'cost', recall, page.parent)
  (path,) = (page.parent / 'measured').glob('cost.recall.*.npz')
  path.write_bytes(path.read_bytes()[:-40])
  with pytest.raises(AssertionError, match='measured again'):
    measured.result(cost, 'cost', recall, page.parent)


def test_what_a_figure_depends_on_names_its_file(
  runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  workdir = tmp_path / 'recall'
  shutil.copytree(runs / 'recall', workdir)
  (recall,) = load_runs([workdir])

  def key(run: Any = recall, **sizes: int) -> str:
    return measured.digest(dataclasses.replace(Cost(), **sizes), run)

  names = [key(), key(repeats=7)]
  assert key() == names[0]
  longer = recall.config | {'task': recall.config['task'] | {'pairs': 2}}
  trained = recall.trained._replace(config=longer)
  names.append(key(dataclasses.replace(recall, trained=trained)))
  for place, name, value in (
    (measured, '_package_source', lambda: 'other code'),
    (measured, 'processor', lambda: 'another machine'),
    (jax, '__version__', '0.0'),
    (type(recall.task), 'fingerprint', lambda task: 'other data'),
  ):
    with monkeypatch.context() as changed:
      changed.setattr(place, name, value)
      names.append(key())
  (manifest,) = workdir.glob('checkpoints/4/manifest.json')
  manifest.write_bytes(manifest.read_bytes() + b' ')  # another checkpoint
  names.append(key())
  file = tmp_path / 'my_measures.py'
  file.write_text(NEW)
  monkeypatch.syspath_prepend(str(tmp_path))
  own = instruments.load_instrument('my_measures.ParameterNorm')
  names.append(measured.digest(own, recall))
  file.write_text(NEW + '# changed')
  names.append(measured.digest(own, recall))
  assert len({*names}) == len(names)


def test_only_the_named_sections_are_made(
  runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  (tmp_path / 'my_instruments.py').write_text(NEW)
  monkeypatch.syspath_prepend(str(tmp_path))
  out, names = str(tmp_path / 'out'), 'evaluation, my_instruments.ParameterNorm'
  assert report(runs / 'recall', names, out) == 0
  source = (tmp_path / 'out/index.html').read_text()
  titles = re.findall('<h2>(.*?)</h2>', source)
  assert titles == ['Verdict', 'Evaluation', 'Parameter norm']
  assert (tmp_path / 'out/my_instruments.ParameterNorm.csv').is_file()
  assert (tmp_path / 'out/my_instruments.ParameterNorm.svg').is_file()
  with pytest.raises(ConfigError, match=r"'costs': .* did you mean cost"):
    write.write([runs / 'recall'], ['costs'], tmp_path / 'out')


def test_a_folder_that_cannot_be_written_is_refused_before_measuring(
  runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  def fail(*arguments: Any) -> Any:
    raise AssertionError('loaded')

  monkeypatch.setattr(write, 'load_runs', fail)
  (tmp_path / 'report').touch()
  with pytest.raises(ConfigError, match=r'cannot be written .* --out=DIR'):
    write.write([tmp_path])
