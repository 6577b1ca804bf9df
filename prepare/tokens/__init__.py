"""Tokenizers, chat templates, and corpora of tokens."""
