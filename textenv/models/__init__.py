"""Models that act: loading, the language policy, its cache and its sampling."""
