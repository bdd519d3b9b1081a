"""Reports: evaluations, the run folder, and what the terminal shows."""
