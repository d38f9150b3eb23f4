"""Know what memory there is, who has it, and what a model will take."""
