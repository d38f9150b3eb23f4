"""Run the work of models that generate no text: one bounded piece at a time, on the main thread."""
