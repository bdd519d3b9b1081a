"""The commands of the command line, one file each: a dataclass of options and `run`, which prints."""
