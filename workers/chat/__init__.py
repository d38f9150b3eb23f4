"""Turn conversations into prompts and generated text into messages."""
