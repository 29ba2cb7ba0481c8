"""Writes bm25.json: the scores of bm25s, https://github.com/xhluca/bm25s.

    pip install bm25s==0.3.16 && python tests/parity/golden/make_bm25.py

The words are given to it as memjax splits them, so only the scores are its own.
"""

import json
from pathlib import Path
import re

import bm25s

DOCUMENTS = [
  'def read_line(self, size=-1):\n  return self._buffer.readline(size)',
  'def read(self, size):\n  while size:\n    size -= self.step(size, size)',
  'def close(self): self.file.close()',
  'class Buffer: pass',
  '',
  'line line line LINE, size: one line of the buffer',
]
QUERIES = [
  'Read one line of the buffer.',
  'size size close',
  'nothing that any of them has',
  '',
]


def main() -> None:
  index = bm25s.BM25(method='lucene', k1=1.5, b=0.75)
  words = [split_words(text) for text in DOCUMENTS]
  index.index(words, show_progress=False)
  scores = []
  for query in QUERIES:
    known = [word for word in split_words(query) if word in index.vocab_dict]
    scores.append(
      index.get_scores(known).tolist() if known else [0.0] * len(DOCUMENTS)
    )
  golden = {'documents': DOCUMENTS, 'queries': QUERIES, 'scores': scores}
  path = Path(__file__).with_name('bm25.json')
  path.write_text(json.dumps(golden, indent=1) + '\n')


def split_words(text: str) -> list[str]:
  return re.findall(r'[^\W_]+', text.lower())


if __name__ == '__main__':
  main()
