"""Rollouts: collecting episodes, and advantages over them."""
