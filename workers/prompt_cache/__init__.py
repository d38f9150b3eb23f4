"""Remember the state of prompts: the longest known prefix of a new one need not be computed again."""
