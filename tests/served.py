"""An HTTP server on this machine that stands in for a public address."""

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
  """Serves {name: bytes}; yields the address and the names requested so far.

  Args:
    monkeypatch: keeps a proxy from being used.
    contents: what is served.
    short: number of bytes that each response lacks at its end.
    delay: seconds before each response.
  """
  requests: list[str] = []

  class Serve(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
      name = self.path.removeprefix('/')
      requests.append(name)
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
    yield f'http://127.0.0.1:{server.server_address[1]}', requests
  finally:
    server.shutdown()
    thread.join()
    server.server_close()
