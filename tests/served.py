"""Files served on this machine, as a public address would."""

from collections.abc import Iterator, Mapping
import contextlib
import http.server
import threading
import time

import pytest


@contextlib.contextmanager
def served(
  monkeypatch: pytest.MonkeyPatch,
  contents: Mapping[str, bytes],
  short: int = 0,
  delay: float = 0,
) -> Iterator[tuple[str, list[str]]]:
  """The address of {name: bytes}, and what is asked of it.

  With `short`, so many bytes less come than are promised; with `delay`, so
  many seconds later.
  """
  asked: list[str] = []

  class Serve(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
      name = self.path.removeprefix('/')
      asked.append(name)
      if name not in contents:
        self.send_error(404)
      elif self.headers['User-Agent'].startswith('Python'):
        self.send_error(403)  # as wikitext.smerity.com does
      else:
        content = contents[name]
        time.sleep(delay)
        self.send_response(200)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) - short])

    def log_message(self, *args: object) -> None:
      pass

  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Serve)
  thread = threading.Thread(target=server.serve_forever)
  thread.start()
  monkeypatch.setenv('no_proxy', '127.0.0.1')
  try:
    yield f'http://127.0.0.1:{server.server_address[1]}', asked
  finally:
    server.shutdown()
    thread.join()
    server.server_close()
