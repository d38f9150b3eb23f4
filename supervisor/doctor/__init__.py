"""Find out what is wrong with an installation: facts are collected in one place and judged in another."""
