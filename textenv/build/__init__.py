"""Building the embedded models from corpora; nothing else of textenv imports this."""
