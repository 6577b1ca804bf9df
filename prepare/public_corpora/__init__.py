"""Corpora that come with public packages."""
