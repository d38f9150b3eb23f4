"""Hold what crosses a process or network edge."""
