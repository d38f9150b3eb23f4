"""Give memory back when the machine runs short of it: be told, decide what, carry it out."""
