"""Tables of texts, prompts and choices, and their way to a corpus."""
