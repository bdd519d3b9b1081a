"""People's judgements of texts: comparisons, the store that keeps them, how they are read and written, and what they say."""
