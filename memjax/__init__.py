"""Training and measuring sequence models that remember."""

__version__ = '0.1.0'
