"""One family of pretrained models a file."""
