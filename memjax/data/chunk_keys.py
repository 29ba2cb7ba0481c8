"""Keys of pieces of text, without a model: sums of hashed n-grams.

    key(x) = sum over n = 1 .. N and i of sign(g) e_(index(g)),
             g = x_i ... x_(i+n-1)

Feature hashing, Weinberger et al. 2009, https://arxiv.org/abs/0902.2206: sign
and index are hashes of the n-gram, so that the product of two keys is, in the
mean, the number of pairs of equal n-grams. A key depends on its tokens alone.
"""

import numpy as np

MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits in no order


def chunk_keys(token_CM: np.ndarray, width: int, grams: int) -> np.ndarray:
  """`(C, D)` float32 keys, of length 1; 0 for no n-gram.

  Args:
    token_CM: ids of C chunks of M tokens.
    width: D.
    grams: N, the most tokens of an n-gram, at most M.
  """
  ids_CM = token_CM.astype(np.uint64) + np.uint64(1)
  key_CD = np.zeros((len(ids_CM), width), np.float32)
  chunk_C1 = np.arange(len(ids_CM))[:, None]
  hash_CM = np.zeros_like(ids_CM)
  for n in range(1, grams + 1):
    places = ids_CM.shape[1] - n + 1
    hash_CM = mixed(hash_CM[:, :places] * MIX + ids_CM[:, n - 1 :])
    index_CM = (hash_CM >> np.uint64(1)) % np.uint64(width)
    sign_CM = np.where(hash_CM & np.uint64(1), 1.0, -1.0)
    np.add.at(key_CD, (chunk_C1, index_CM.astype(np.int64)), sign_CM)
  length_C1 = np.linalg.norm(key_CD, axis=1, keepdims=True)
  return key_CD / np.maximum(length_C1, 1.0)


def mixed(hash_CM: np.ndarray) -> np.ndarray:
  """Hashes whose every bit depends on every bit."""
  hash_CM = (hash_CM ^ (hash_CM >> np.uint64(31))) * MIX
  hash_CM = (hash_CM ^ (hash_CM >> np.uint64(29))) * MIX
  return hash_CM ^ (hash_CM >> np.uint64(32))
