"""Runs a sweep to its end or to Ctrl-C, with a line for each event."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
import signal
import threading

from optuna.trial import TrialState

from memjax.logs.console import format_number
from memjax.sweep import trial
from memjax.sweep.file import Sweep
from memjax.sweep.study import Claim, Outcome, Study
from memjax.sweep.table import describe_values, rank

WAIT = 1.0  # seconds between two checks of trials that run elsewhere


def run_trials(sweep: Sweep, study: Study, workers: int) -> bool:
  """Runs trials, `workers` at a time, until all are finished.

  Trials that other processes run count too.

  Returns:
    Whether all are finished; False after SIGTERM or Ctrl-C, when the running
    trials are saved.
  """
  stop, log = threading.Event(), LinePrinter()
  with stop_on_signals(stop), ThreadPoolExecutor(workers) as pool:
    futures = [
      pool.submit(_worker, sweep, study, stop, log) for _ in range(workers)
    ]
    for future in futures:
      future.result()
  return not stop.is_set()


@contextlib.contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
  """In the body the first SIGTERM or Ctrl-C sets the event; a second kills."""

  def receive(signum: int, frame: object) -> None:
    del frame
    stop.set()
    signal.signal(signum, signal.SIG_DFL)

  numbers = (signal.SIGTERM, signal.SIGINT)
  before = {number: signal.signal(number, receive) for number in numbers}
  try:
    yield
  finally:
    for signum, handler in before.items():
      signal.signal(signum, handler)


class LinePrinter:
  """Prints whole lines from several threads."""

  def __init__(self) -> None:
    self._lock = threading.Lock()
    self._printed: set[str] = set()

  def print(self, line: str, once: bool = False) -> None:
    """Prints a line; with `once`, only if it was not printed before."""
    with self._lock:
      if not (once and line in self._printed):
        print(line, flush=True)
      self._printed.add(line)


def _worker(
  sweep: Sweep, study: Study, stop: threading.Event, log: 'LinePrinter'
) -> None:
  try:
    while not stop.is_set():
      if claim := study.claim_trial():
        with claim.lock:
          run_claim(sweep, study, claim, stop, log)
      elif all(t.state.is_finished() for t in study.trials()):
        return
      else:
        if others := study.running_elsewhere():
          numbers = ', '.join(map(str, others))
          line = f'waiting for trials of other processes: {numbers}'
          log.print(line, once=True)
        stop.wait(WAIT)
  except BaseException:
    stop.set()  # stops the other workers
    raise


def run_claim(
  sweep: Sweep,
  study: Study,
  claim: Claim,
  stop: threading.Event,
  log: 'LinePrinter',
) -> None:
  """Runs one trial and prints a line before and after."""
  resumed = (claim.workdir / 'metrics.jsonl').exists()
  start = f'trial {claim.number}{" resumed" if resumed else ""}'
  log.print(f'{start}: {describe_values(sweep, claim.values)}')
  outcome = trial.run_trial(sweep, claim, stop)
  if outcome.state != TrialState.RUNNING:
    study.record(claim, outcome)
  result, progress = _result(sweep, outcome), _progress(sweep, study)
  log.print(f'trial {claim.number} {result}{progress}')


def _result(sweep: Sweep, outcome: Outcome) -> str:
  if outcome.state == TrialState.FAIL:
    return f'failed, {outcome.reason}'
  if outcome.state == TrialState.RUNNING:
    return 'stopped and saved'
  how = 'pruned' if outcome.state == TrialState.PRUNED else 'finished'
  value = format_number(outcome.value)
  return f'{how}: {sweep.metric} {value} at step {outcome.step}'


def _progress(sweep: Sweep, study: Study) -> str:
  trials = rank(sweep, study.trials())
  left = sweep.trials - sum(t.state.is_finished() for t in trials)
  best = trials[0]
  if best.value is None or best.state != TrialState.COMPLETE:
    return f'; {left} left'
  return f'; best {format_number(best.value)}, trial {best.number}; {left} left'
