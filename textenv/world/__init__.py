"""The micro-world: tables of facts, plain English about them, exercises whose answers are known, and exact judges."""
