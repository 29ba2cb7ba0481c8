"""The models that can read pairs: those of all families, and three more."""

from ml_collections import ConfigDict

from memjax.configs.models import MODELS, model

GRU = {'name': 'gru.GRU'}
# An encoder and a decoder, by what the decoder gets of the source.
ENCODER_DECODER = ('none', 'additive', 'dot')
NAMES = (*MODELS, *ENCODER_DECODER)


def pairs_model(name: str, width: int, depth: int, window: int) -> ConfigDict:
  """A model of NAMES; `window` is the longest source of an encoder, too."""
  if name not in ENCODER_DECODER:
    return model(name, width, depth, window)
  both = {'name': 'bidirectional.Bidirectional', 'layer': GRU}
  return ConfigDict(
    {
      'name': 'encoder_decoder.EncoderDecoder',
      'width': width,
      'depth': depth,
      'encoder_layer': GRU if name == 'none' else both,
      'layer': GRU,
      'attention': name,
      'source_length': window,
    }
  )
