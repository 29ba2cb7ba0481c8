"""Pytrees, typed: jax exports no type that mypy can compare structures by."""

from typing import Any

import jax


def structure(tree: Any) -> Any:
  """The pytree's structure without its leaves."""
  return jax.tree.structure(tree)
