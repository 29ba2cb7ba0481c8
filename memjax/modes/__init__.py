"""The modes of the command line, one a file."""
